# SPDX-License-Identifier: Apache-2.0
"""Modules of the bundle are like any other, but for where their code comes from."""

from __future__ import annotations

import json
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher import bundling

# As gate.py does it; what comes then is the test's.
BEGINNING = """
import json, marshal, posix, sys
tree = sys.argv[1]
bundle = posix.open(f"{tree}/bundle", posix.O_RDONLY)
size = int.from_bytes(posix.pread(bundle, 4, 12), "big")
code, folders = marshal.loads(posix.pread(bundle, size, 16))
names = {"__name__": "launcher.bundle"}
exec(code, names)
sys.path.append(f"{tree}/site-packages")
sys.meta_path.insert(0, names["Finder"](tree, bundle, 16 + size, folders))
"""


@pytest.fixture(scope="module")
def extracted(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the packed file with its bundle."""
    tree = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tree)
    (tree / "bundle").write_bytes(bundling.bundle(str(tree), str(tree)))
    return tree


def told(tree: Path, source: str) -> object:
    """Return what `source` gives to print, with the modules of the bundle there."""
    words = [sys.executable, "-I", "-S", "-X", "utf8", "-c", BEGINNING + source, tree]
    return json.loads(subprocess.check_output(words))


def index(tree: Path) -> dict[str, dict[str, tuple[int, int, bytes, bool]]]:
    """Return what the bundle says of each module, by the package that it is in."""
    content = (tree / "bundle").read_bytes()
    size = int.from_bytes(content[12:16], "big")
    _, folders = marshal.loads(content[16 : 16 + size])
    return {folder: marshal.loads(places) for folder, places in folders.items()}


def test_no_name_of_the_standard_library_is_in_the_bundle(extracted: Path) -> None:
    """A module of Python's own is never found in the bundle."""
    tops = set(index(extracted)[""])
    assert {"launcher", "plugins", "cni_common", "pyroute2"} <= tops
    assert tops & set(sys.stdlib_module_names) == set()


def test_every_module_of_the_tree_is_in_the_bundle(extracted: Path) -> None:
    """Nothing that may be imported is compiled at a call."""
    site = extracted / "site-packages"
    paths = {path.relative_to(site) for path in site.rglob("*.py")}
    places = {
        Path(*folder.split("."), name, "__init__.py")
        if place[3]
        else Path(*folder.split("."), f"{name}.py")
        for folder, names in index(extracted).items()
        for name, place in names.items()
    }
    assert places == paths


def test_module_says_where_it_is_from(extracted: Path) -> None:
    """A module's file is its source in the tree, and a package has its directory."""
    site = f"{extracted}/site-packages"
    source = """
import plugins, plugins.bridge.conf as conf
spec = conf.__spec__
print(json.dumps([conf.__file__, spec.origin, spec.cached, spec.has_location,
    conf.__package__, list(plugins.__path__), plugins.__file__,
    conf.__loader__.get_source(spec.name) == open(conf.__file__).read()]))
"""
    assert told(extracted, source) == [
        *[f"{site}/plugins/bridge/conf.py"] * 2,
        f"{extracted}/bundle",
        True,
        "plugins.bridge",
        [f"{site}/plugins"],
        f"{site}/plugins/__init__.py",
        True,
    ]


def test_traceback_names_and_shows_the_line(extracted: Path) -> None:
    """An exception tells file and line of the source, and what stands there."""
    source = """
import traceback
from cni_common.spec import gojson
try:
    gojson.load_object(b"{")
except Exception as error:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    print(json.dumps([[frame.filename, frame.lineno, frame.line] for frame in frames]))
"""
    frames = told(extracted, source)
    assert isinstance(frames, list)
    assert frames
    for filename, number, line in frames:
        text = (extracted / "site-packages" / filename).read_text().splitlines()
        assert filename.startswith(f"{extracted}/site-packages/")
        assert text[number - 1].strip() == line.strip() != ""


def test_packages_can_be_walked_and_have_files(extracted: Path) -> None:
    """pkgutil, importlib.resources and runpy find what they look for."""
    source = """
import pkgutil, plugins, runpy
from importlib import resources
found = [each.name for each in pkgutil.walk_packages(plugins.__path__, "plugins.")]
folder = resources.files("cnipy").joinpath("examples")
examples = [each.name for each in folder.iterdir()]
ran = runpy.run_module("jeepney.wrappers", run_name="ran")
print(json.dumps([found, examples, ran["__name__"], ran["__file__"]]))
"""
    found, examples, name, file = told(extracted, source)  # type: ignore[misc]
    inside = (extracted / "site-packages/plugins").rglob("*.py")
    assert len(found) == len(list(inside)) - 1
    assert "22-podman-created.conflist" in examples
    assert (name, Path(file).name) == ("ran", "wrappers.py")


def test_modules_do_not_import_what_the_compiler_was_told(extracted: Path) -> None:
    """Annotations are not evaluated, and no call imports __future__ to say so."""
    source = """
from cni_common.frame.rollback import Rollback
print(json.dumps(["__future__" in sys.modules, Rollback.__init__.__annotations__]))
"""
    imported, annotations = told(extracted, source)  # type: ignore[misc]
    assert not imported
    assert all(isinstance(each, str) for each in annotations.values())


def test_what_is_not_in_the_bundle_is_found_in_the_tree(extracted: Path) -> None:
    """A module that came later is imported as ever, and the standard library first."""
    site = extracted / "site-packages"
    (site / "cni_common/later.py").write_text("VALUE = 1\n")
    (site / "fractions.py").write_text("raise SystemExit(7)\n")
    source = """
import fractions
from cni_common.later import VALUE
print(json.dumps([VALUE, fractions.__file__.startswith(tree)]))
"""
    try:
        assert told(extracted, source) == [1, False]
    finally:
        (site / "cni_common/later.py").unlink()
        (site / "fractions.py").unlink()


def test_source_that_this_python_cannot_compile_is_left_out(tmp_path: Path) -> None:
    """One that is of another minor does not stop the others."""
    site = tmp_path / "site-packages"
    (site / "launcher").mkdir(parents=True)
    (site / "launcher/__init__.py").touch()
    (site / "launcher/bundle.py").touch()
    (site / "newer.py").write_text("match match match\n")
    (tmp_path / "bundle").write_bytes(bundling.bundle(str(tmp_path), "/tree"))
    assert set(index(tmp_path)) == {"", "launcher"}
    assert set(index(tmp_path)[""]) == {"launcher"}
