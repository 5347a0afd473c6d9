from tfvrnn.measurement.pairing import pair_up


def test_equal_names_numbers_and_folders_pair():
    real = ["a", "b", "c", "clip_1", "clip"]
    generated = ["a", "b_10", "b_2", "c/10", "c/9", "clip_1", "clip_0", "d", "d_0", "a_x"]
    pairs, alone, left = pair_up(real, generated)
    found = {pair.name: [generated[k] for k in pair.samples] for pair in pairs}
    assert found == {
        "a": ["a"],
        "b": ["b_2", "b_10"],
        "c": ["c/9", "c/10"],
        "clip_1": ["clip_1"],  # an exact name, not a sample of clip
        "clip": ["clip_0"],
    }
    assert [real[pair.real] for pair in pairs] == real
    assert alone == [] and left == ["d", "d_0", "a_x"]


def test_within_folders_and_of_two_endings():
    pairs, alone, left = pair_up(["walk/1", "walk/1", "run/1"], ["walk/1_0", "1_0"])
    assert [(pair.name, pair.real, pair.samples) for pair in pairs] == [("walk/1", 0, [0])]
    assert alone == ["walk/1", "run/1"] and left == ["1_0"]
