import numpy as np
import tensorflow as tf

from tfvrnn.models.objective import loss_terms


def test_loss_is_reconstruction_plus_beta_kl():
    terms = {
        "reconstruction": tf.constant([1.0, 3.0]),
        "kl_1": tf.constant([2.0, 4.0]),
        "kl_4": tf.constant([1.0, 0.0]),
    }
    found = {k: float(v) for k, v in loss_terms(terms, 0.5).items()}
    assert found == {
        "loss": 3.75, "negative_elbo": 5.5, "reconstruction": 2.0,
        "kl": 3.5, "kl_1": 3.0, "kl_4": 0.5,
    }  # fmt: skip


def test_fine_beta_multiplies_beta_of_all_levels_but_the_coarsest():
    nats = {"kl_32": 8.0, "kl_8": 4.0, "kl_1": 2.0}  # in no order
    terms = {name: tf.constant([value]) for name, value in nats.items()}
    terms["reconstruction"] = tf.constant([1.0])
    found = loss_terms(terms, 0.5, fine_beta=10.0)
    assert float(found["loss"]) == 1.0 + 0.5 * (2.0 + 10.0 * (4.0 + 8.0))
    assert (float(found["kl"]), float(found["negative_elbo"])) == (14.0, 15.0)
    free = loss_terms(terms, 0.5, free_nats=5.0, fine_beta=10.0)
    assert float(free["loss"]) == 1.0 + 0.5 * (5.0 + 10.0 * (5.0 + 8.0))
    one_level = {name: terms[name] for name in ("reconstruction", "kl_1")}
    assert float(loss_terms(one_level, 0.5, fine_beta=9.0)["loss"]) == 2.0
    own_name = {"reconstruction": terms["reconstruction"], "kl_4x8": terms["kl_8"]}
    assert float(loss_terms(own_name, 0.5)["loss"]) == 3.0


def test_free_nats_cost_nothing_and_have_no_gradient():
    terms = {"reconstruction": tf.constant([1.0, 3.0]), "kl_1": tf.constant([2.0, 4.0])}
    assert float(loss_terms(terms, 1.0, free_nats=5.0)["loss"]) == 2.0 + 5.0
    assert float(loss_terms(terms, 1.0, free_nats=3.0)["loss"]) == 2.0 + 3.5  # per video
    assert float(loss_terms(terms, 1.0, free_nats=1.0)["loss"]) == 2.0 + 3.0
    only = {"reconstruction": tf.constant([1.0])}
    assert float(loss_terms(only, 1.0, free_nats=5.0)["loss"]) == 1.0
    assert float(loss_terms(terms, 1.0, free_nats=5.0)["negative_elbo"]) == 2.0 + 3.0
    kl = tf.Variable([2.0, 4.0])
    with tf.GradientTape() as tape:
        loss = loss_terms({"reconstruction": tf.constant([0.0]), "kl_1": kl}, 1.0, 5.0)["loss"]
    assert not np.any(tape.gradient(loss, kl))
