"""Execute the notebooks again and store what they print and show.

pip install -e ".[docs]" && python docs/notebooks/execute.py
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

for path in sorted(Path(__file__).parent.glob("*.ipynb")):
    book = nbformat.read(path, as_version=4)
    NotebookClient(
        book, record_timing=False, resources={"metadata": {"path": path.parent}}
    ).execute()
    book.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in book.cells:
        if cell.cell_type == "code":  # TensorFlow's greetings are not stored
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    nbformat.write(book, path)
    print(path)
