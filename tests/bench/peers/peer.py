"""llama.cpp and its fork ik_llama.cpp as peers: built from source, their GGUF files, their throughput, their server."""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import to_gguf

PYPI = "llama_cpp_python", "0.3.36"  # its source archive holds llama.cpp's
CMAKE = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DGGML_NATIVE=ON"]


def fetch_llama_cpp(work):
    """llama.cpp's source, from PyPI."""
    name, version = PYPI
    source = work / f"{name}-{version}" / "vendor" / "llama.cpp"
    if not source.exists():
        print(f"downloading {name} {version}", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                        f"{name.replace('_', '-')}=={version}", "-d", work], check=True)
        with tarfile.open(work / f"{name}-{version}.tar.gz") as archive:
            archive.extractall(work, filter="data")
    return source


class Peer:
    def __init__(self, name, source, build, is_fork):
        self.name, self.source, self.build, self.is_fork = name, pathlib.Path(source), pathlib.Path(build), is_fork
        self.bench = self.build / "bin" / "peer_bench"

    def make(self, with_server):
        """Builds the library and the benchmark; of llama.cpp also the quantizer, and the server, which takes longest."""
        bin_ = self.build / "bin"
        wanted = ["llama"] + ([] if self.is_fork else ["llama-quantize"]) + (["llama-server"] if with_server else [])
        # The fork's attention over quantized KV caches is most of its build, and no figure here uses it.
        programs = ["-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DGGML_IQK_FA_ALL_QUANTS=OFF"] if self.is_fork else []
        if not (self.build / "build.ninja").exists():
            subprocess.run(["cmake", "-S", self.source, "-B", self.build, *CMAKE, *programs], check=True, stdout=subprocess.DEVNULL)
        print(f"building {self.name} (minutes, the first time)", flush=True)
        subprocess.run(["ninja", "-C", self.build, *wanted], check=True, stdout=subprocess.DEVNULL)
        library_folders = sorted({str(path.parent) for path in self.build.rglob("lib*.so")})
        bin_.mkdir(exist_ok=True)
        command = ["c++", "-O2", "-std=c++17", f"-I{self.source}/include", f"-I{self.source}/ggml/include",
                   pathlib.Path(__file__).with_name("peer_bench.cpp"), "-o", self.bench]
        command += ["-DPEER_IK"] if self.is_fork else []
        for folder in library_folders:
            command += [f"-L{folder}", f"-Wl,-rpath,{folder}"]
        libraries = [name for name in ("llama", "ggml", "ggml-base") if list(self.build.rglob(f"lib{name}.so"))]
        subprocess.run(command + [f"-l{name}" for name in libraries], check=True)

    def throughput(self, file, threads, prefill, decode, new_tokens=64, depth=16):
        """One round: {("prefill", tokens) or ("decode", sequences): tokens/s}."""
        numbers = [",".join(map(str, numbers)) for numbers in (prefill, decode)]
        out = subprocess.run([self.bench, file, str(threads), "1", *numbers, str(new_tokens), str(depth)],
                             check=True, capture_output=True, text=True).stdout
        return {(row["what"], int(row["sequences"])): float(row["tokens_per_second"]) for row in csv.DictReader(out.splitlines())}

    def serve(self, file, threads, slots, context, port):
        """llama-server with so many slots of so much context each."""
        return subprocess.Popen([self.build / "bin" / "llama-server", "-m", file, "-t", str(threads), "-np", str(slots), "-c", str(slots * context),
                                 "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)


class Files:
    """GGUF files of a checkpoint in the forms that a peer's quantizer makes."""

    def __init__(self, checkpoint, quantizer):
        self.checkpoint, self.quantizer = pathlib.Path(checkpoint), quantizer

    def get(self, form, for_fork=False):
        older = for_fork and json.loads((self.checkpoint / "config.json").read_text())["model_type"] == "deepseek_v3"
        file = self.checkpoint.with_name(f"{self.checkpoint.name}-{'older-' if older else ''}{form.lower()}.gguf")
        if file.exists():
            return file
        if form == "BF16":
            print(f"converting {self.checkpoint.name} to GGUF", flush=True)
            to_gguf.convert(self.checkpoint, file, kv_b_as_one=older)
            return file
        print(f"quantizing {self.checkpoint.name} to {form}", flush=True)
        partial = file.with_suffix(".partial")
        subprocess.run([self.quantizer, self.get("BF16", for_fork), partial, form], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        partial.rename(file)
        return file
