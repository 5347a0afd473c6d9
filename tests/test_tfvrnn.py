"""`import tfvrnn` is light, and has the public names."""

import subprocess
import sys

import pytest

import tfvrnn


@pytest.mark.parametrize("name", tfvrnn.__all__)
def test_public_names_are_there(name):
    found = getattr(tfvrnn, name)
    assert found.__name__ == name and name in dir(tfvrnn)


def test_other_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tfvrnn' has no attribute 'nothing'"):
        _ = tfvrnn.nothing


def test_importing_the_package_imports_none_of_its_dependencies():
    code = "import sys, tfvrnn; print(sorted({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
