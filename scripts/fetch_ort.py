#!/usr/bin/env python3
"""Fetch the ONNX Runtime shared library from its published wheel.

    python3 scripts/fetch_ort.py [--dest DIR] [--target TARGET] [--wheel FILE]
    python3 scripts/fetch_ort.py --gpu [--dest DIR]

Downloads the `onnxruntime` wheel with pip (a wheel is a zip, nothing is
installed), takes the one shared library out of it, compares its SHA-256 with
the table below and moves it into DIR (default: vendor/onnxruntime/ at the
root of the repository). If the right file is already there, nothing is
downloaded. The path of the library is the only thing printed on stdout:

    export ORT_DYLIB_PATH="$(python3 scripts/fetch_ort.py)"

With --gpu it fetches the build for CUDA 13 instead (Linux x86-64), with the
NVIDIA libraries that it loads, into vendor/onnxruntime-gpu/: about 1.5 GB of
wheels. pip compares every wheel with its pinned hash. The driver
(libcuda.so.1) must be there already.

Needs Python 3.9 or later and pip; no other package.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.31.1"

# target: (pip platform tag, member of the wheel, SHA-256 of that member)
TARGETS = {
    "linux-x86_64": (
        "manylinux_2_28_x86_64",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    ),
    "linux-aarch64": (
        "manylinux_2_28_aarch64",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    ),
    "macos-arm64": (
        "macosx_14_0_arm64",
        "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
    ),
}

# Wheel, version, SHA-256 of the wheel: what libonnxruntime_providers_cuda.so of this version loads. All are for x86-64.
GPU_WHEELS = (
    ("onnxruntime-gpu", VERSION, "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7"),
    ("nvidia-cuda-runtime", "13.5.37", "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d"),
    ("nvidia-cuda-nvrtc", "13.5.37", "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc"),
    ("nvidia-cublas", "13.10.0.20", "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84"),
    ("nvidia-cufft", "12.5.0.14", "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad"),
    ("nvidia-curand", "10.4.5.25", "22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529"),
    ("nvidia-cudnn-cu13", "9.28.1.4", "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec"),
)
# pip takes a tag exactly, so every tag that one of these wheels may bear is named.
GPU_PLATFORMS = (
    "manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64",
    "manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64",
)  # fmt: skip
# Written last into the folder: what it holds is whole.
GPU_MARK = "WHEELS"

ROOT = Path(__file__).resolve().parent.parent


class Failure(Exception):
    """An error whose text already says what to do."""


def say(line):
    print("fetch_ort: " + line, file=sys.stderr)


def this_target():
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if system == "linux" and machine == "arm64":
        machine = "aarch64"
    target = f"{system}-{machine}"
    if target not in TARGETS:
        raise Failure(
            f"no pinned ONNX Runtime for {target} (known: {', '.join(sorted(TARGETS))}); "
            "get a library of version " + VERSION + " yourself and point ORT_DYLIB_PATH at it"
        )
    return target


def warn_about_libc(target):
    if not target.startswith("linux-") or platform.system() != "Linux":
        return
    name, version = platform.libc_ver()
    parts = version.split(".")
    if name != "glibc":
        say("warning: this system does not look like glibc; the library needs glibc 2.28 or later and may not load here")
    elif len(parts) >= 2 and all(p.isdigit() for p in parts[:2]) and (int(parts[0]), int(parts[1])) < (2, 28):
        say(f"warning: glibc {version} found; the library needs 2.28 or later and will not load here")


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def pip_command():
    """A pip that runs: this interpreter's, else the first one on PATH."""
    candidates = [[sys.executable, "-m", "pip"]] if sys.executable else []
    for name in ("python3", "python"):
        path = shutil.which(name)
        if path:
            candidates.append([path, "-m", "pip"])
    for name in ("pip3", "pip"):
        path = shutil.which(name)
        if path:
            candidates.append([path])
    for command in candidates:
        try:
            done = subprocess.run(
                command + ["--version"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        except OSError:
            continue
        if done.returncode == 0:
            return command
    raise Failure(
        "no pip found; install it (Debian/Ubuntu: apt-get install python3-pip, elsewhere: python3 -m ensurepip), "
        "or download the onnxruntime " + VERSION + " wheel elsewhere and pass it with --wheel FILE"
    )


def download(target, folder):
    tag = TARGETS[target][0]
    command = pip_command() + [
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version", "3.12",
        "--implementation", "cp",
        "--abi", "cp312",
        "--platform", tag,
        "-d", str(folder),
        "onnxruntime==" + VERSION,
    ]  # fmt: skip
    say(f"downloading the onnxruntime {VERSION} wheel for {target} with pip")
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if done.returncode != 0:
        tail = "\n".join("    " + line for line in done.stdout.strip().splitlines()[-8:])
        raise Failure(
            f"pip could not download onnxruntime=={VERSION} for {tag} (exit {done.returncode}):\n{tail}\n"
            "  check the network and pip's index/proxy settings (pip config list), "
            "or pass a wheel you already have with --wheel FILE"
        )
    wheels = sorted(Path(folder).glob("onnxruntime-*.whl"))
    if len(wheels) != 1:
        raise Failure(f"pip left {len(wheels)} wheels in {folder}, expected one; run it again or pass --wheel FILE")
    return wheels[0]


def install(target, wheel, dest, final):
    member, want = TARGETS[target][1:]
    dest.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=".fetch_ort-", dir=dest)
    try:
        digest = hashlib.sha256()
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, os.fdopen(handle, "wb") as out:
                handle = None
                for block in iter(lambda: source.read(1 << 20), b""):
                    digest.update(block)
                    out.write(block)
                out.flush()
                os.fsync(out.fileno())
        except (zipfile.BadZipFile, KeyError) as error:
            raise Failure(
                f"{wheel} is not an onnxruntime {VERSION} wheel for {target} ({error}); "
                "delete it and download it again, or choose the right --target"
            ) from error
        got = digest.hexdigest()
        if got != want:
            raise Failure(
                f"SHA-256 of {member} in {wheel.name} is {got}, expected {want}; nothing was installed. "
                "The wheel is damaged, altered or for another target: download it again "
                "and do not use this one"
            )
        os.chmod(partial, 0o755)
        os.replace(partial, final)
    finally:
        if handle is not None:
            os.close(handle)
        if os.path.exists(partial):
            os.unlink(partial)


def gpu_requirements():
    return "".join(f"{name}=={version} --hash=sha256:{digest}\n" for name, version, digest in GPU_WHEELS)


def download_gpu(folder):
    wanted = Path(folder) / "requirements.txt"
    wanted.write_text(gpu_requirements(), encoding="utf-8")
    platforms = [part for tag in GPU_PLATFORMS for part in ("--platform", tag)]
    command = pip_command() + [
        "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--python-version", "3.12", "--implementation", "cp", *platforms, "-d", str(folder), "-r", str(wanted),
    ]  # fmt: skip
    say(f"downloading ONNX Runtime {VERSION} for CUDA 13 and NVIDIA's libraries with pip, about 1.5 GB")
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode != 0:
        raise Failure("pip could not download a wheel, or one has another hash than the pinned one; see above")
    return sorted(Path(folder).glob("*.whl"))


def install_gpu(wheels, dest):
    """Every library of the wheels into one folder: the CUDA provider looks for its own beside itself."""
    dest.mkdir(parents=True, exist_ok=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = member.rsplit("/", 1)[-1]
                ours = member.startswith("onnxruntime/capi/libonnxruntime") and "tensorrt" not in name
                theirs = member.startswith("nvidia/") and "/lib/" in member and ".so" in name
                if not (ours or theirs):
                    continue
                handle, partial = tempfile.mkstemp(prefix=".fetch_ort-", dir=dest)
                try:
                    with archive.open(member) as source, os.fdopen(handle, "wb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
                    os.chmod(partial, 0o755)
                    os.replace(partial, dest / name)
                finally:
                    if os.path.exists(partial):
                        os.unlink(partial)
    missing = [n for n in ("libonnxruntime_providers_cuda.so", "libcudart.so.13", "libcublasLt.so.13", "libcudnn.so.9")
               if not (dest / n).is_file()]  # fmt: skip
    if missing:
        raise Failure(f"the wheels lack {', '.join(missing)}; nothing of {dest} may be used")


def fetch_gpu(dest):
    if this_target() != "linux-x86_64":
        raise Failure("the build for CUDA is pinned for Linux x86-64 only")
    final, mark = dest / f"libonnxruntime.so.{VERSION}", dest / GPU_MARK
    if final.is_file() and mark.is_file() and mark.read_text(encoding="utf-8") == gpu_requirements():
        say(f"already there: {dest}")
        return final
    with tempfile.TemporaryDirectory(prefix="fetch_ort-") as folder:
        install_gpu(download_gpu(folder), dest)
    mark.write_text(gpu_requirements(), encoding="utf-8")
    say(f"installed ONNX Runtime {VERSION} for CUDA 13 with its libraries: {dest}")
    return final


def main(argv=None):
    parser = argparse.ArgumentParser(description=f"Fetch the ONNX Runtime {VERSION} shared library.")
    parser.add_argument(
        "--dest", type=Path, help="folder to put it in (default: vendor/onnxruntime, with --gpu vendor/onnxruntime-gpu)"
    )
    parser.add_argument("--target", choices=sorted(TARGETS), help="machine to fetch for (default: this one)")
    parser.add_argument("--wheel", type=Path, help="use this wheel instead of downloading one")
    parser.add_argument("--gpu", action="store_true", help="the build for CUDA 13 with NVIDIA's libraries")
    args = parser.parse_args(argv)
    vendor = ROOT / "vendor" / ("onnxruntime-gpu" if args.gpu else "onnxruntime")
    dest = (args.dest or vendor).expanduser().absolute()

    try:
        if args.gpu:
            print(fetch_gpu(dest))
            return 0
        target = args.target or this_target()
        warn_about_libc(target)
        member, want = TARGETS[target][1:]
        final = dest / member.rsplit("/", 1)[1]
        if final.is_file() and sha256(final) == want:
            say(f"already there, SHA-256 verified: {final}")
        else:
            if args.wheel is not None and not args.wheel.is_file():
                raise Failure(f"--wheel {args.wheel}: no such file")
            with tempfile.TemporaryDirectory(prefix="fetch_ort-") as folder:
                wheel = args.wheel or download(target, folder)
                install(target, wheel, dest, final)
            say(f"installed ONNX Runtime {VERSION} ({target}), SHA-256 verified: {final}")
    except Failure as error:
        say("error: " + str(error))
        return 1
    except OSError as error:
        say(f"error: {error}; check the disk space and the permissions of that path")
        return 1
    print(final)
    return 0


if __name__ == "__main__":
    sys.exit(main())
