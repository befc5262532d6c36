"""The bones: imports point one way, web processes stay light, and a few things are never written."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGES = ("latentsync_core", "worker", "pages")
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "lpips", "mediapipe", "face_alignment"}

#: What the files of a package may never import, at any depth of the file.
FORBIDDEN = {
    "latentsync_core": {"redis", "rq", "streamlit", "pyngrok", "worker", "pages", "app", "scripts"},
    "worker": {"streamlit", "pages", "app", "scripts"} | HEAVY,
    "pages": {"redis", "rq", "scripts", "app"} | HEAVY,
    "app.py": {"redis", "rq", "scripts"} | HEAVY,
}
#: The library reads no environment variables; its command line is a program, which may set one for its libraries.
PROGRAMS_IN_THE_LIBRARY = ("latentsync_core/commands/",)


def sources_of(package: str) -> list[Path]:
    path = REPOSITORY / package
    return [path] if path.suffix else sorted(path.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


ALL_SOURCES = [path for package in (*PACKAGES, "app.py") for path in sources_of(package)]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_packages(tree: ast.AST) -> set[str]:
    """The first part of every imported name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package: str):
    sources = sources_of(package)
    assert sources
    wrong = {name_of(path): sorted(imported_packages(tree_of(path)) & FORBIDDEN[package]) for path in sources}
    assert {name: imports for name, imports in wrong.items() if imports} == {}


@pytest.mark.timeout(120)
def test_web_processes_and_the_queue_process_never_load_torch():
    """Really import every module of the page and the worker, but for the scripts that Streamlit runs."""
    modules = ["app", "latentsync_core.options", "latentsync_core.bundle_catalog", "latentsync_core.media.probe"]
    for path in [*sources_of("pages/parts"), *sources_of("worker")]:
        if path.stem not in ("__init__", "__main__"):
            modules.append(name_of(path).removesuffix(".py").replace("/", "."))
    code = (
        f"import importlib, sys\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
        f"sys.exit(', '.join(sorted({HEAVY!r} & sys.modules.keys())) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_library_reads_no_environment_variables():
    readers = [
        name_of(path)
        for path in sources_of("latentsync_core")
        if not name_of(path).startswith(PROGRAMS_IN_THE_LIBRARY)
        and re.search(r"\bos\.(environ|getenv|putenv)\b|from os import .*environ", path.read_text(encoding="utf-8"))
    ]
    assert readers == []


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_nothing_dangerous_is_called(path: Path):
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        where = f"{name_of(path)}:{node.lineno}"
        assert called not in ("print", "eval", "exec", "os.system", "os.popen"), f"{where}: {called}"
        assert not called.startswith(("pickle.", "marshal.", "shelve.", "dill.", "joblib.")), f"{where}: {called}"
        settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert settings.get("shell", "False") == "False", f"{where}: a shell"
        if called == "torch.load":
            assert settings.get("weights_only") == "True", f"{where}: torch.load runs code without weights_only=True"
        assert settings.get("allow_pickle", "False") == "False", f"{where}: allow_pickle"


@pytest.mark.parametrize("path", ALL_SOURCES, ids=name_of)
def test_errors_are_not_swallowed(path: Path):
    """`except Exception` is for the edge of a process, where the error is logged, raised, or sent on."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
            body = "\n".join(ast.unparse(statement) for statement in node.body)
            kept = rf"\braise\b|\.exception\(|exc_info=True|\b{node.name or 'raise'}\b"
            assert re.search(kept, body), f"{name_of(path)}:{node.lineno}"


def test_every_third_party_import_is_a_declared_requirement():
    """What the sources import directly is pinned directly, not by way of somebody else's needs."""
    declared = direct_pins().keys()
    own = {*PACKAGES, "app", "scripts"}
    imported = set().union(*(imported_packages(tree_of(path)) for path in [*ALL_SOURCES, *sources_of("scripts")]))
    distributions = packages_distributions()
    undeclared = {}
    for name in imported - own - set(sys.stdlib_module_names):
        owners = {owner.lower().replace("_", "-") for owner in distributions.get(name, [name])}
        if not owners & declared:
            undeclared[name] = sorted(owners)
    assert undeclared == {}


def test_every_installed_version_is_pinned():
    """Direct pins agree with the lock, and the lock pins exactly."""
    lock = pins(REPOSITORY / "constraints.txt")
    direct = direct_pins() | pins(REPOSITORY / "requirements-dev.txt")
    assert {name: lock.get(name) for name in direct} == direct


def direct_pins() -> dict[str, str]:
    return pins(REPOSITORY / "requirements-web.txt") | pins(REPOSITORY / "requirements.txt")


def pins(path: Path) -> dict[str, str]:
    """Package (as the index spells it) to version."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-"))]
    return {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}


def test_marks_that_make_check_leaves_out_are_declared():
    configured = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    declared = {line.split(":")[0] for line in configured}
    makefile = (REPOSITORY / "Makefile").read_text()
    assert set(re.findall(r"not (\w+)", makefile)) == declared
