"""The wheel: `sagas` alone, with everything it needs at run time."""

import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_wheel__contains_sagas_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"sagas"}


def test_wheel__contains_every_file_of_the_app(wheel):
    """Templates, static files, migrations and `py.typed` too: what is in the tree is in the wheel."""
    tree = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sagas").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("sagas/")}

    assert shipped == tree
    assert "sagas/py.typed" in shipped
    assert "sagas/definitions/files/schema.json" in shipped
    assert any(name.startswith("sagas/migrations/0001") for name in shipped)


def test_wheel__says_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()

    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: MIT" in metadata
    for extra in ("api", "celery", "pydantic", "yaml"):
        assert f"Provides-Extra: {extra}" in metadata
