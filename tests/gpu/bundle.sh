#!/usr/bin/env bash
# bundle.sh DIR: what a machine with a GPU needs to run the GPU's tests and benchmarks: programs, the libraries beside them that its
# system may lack, golden checkpoints, run.sh. Of that system it takes glibc and the NVIDIA driver.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$root/build/bin
out=${1:?the folder to make}

rm -rf "$out"
mkdir -p "$out/bin" "$out/lib" "$out/data"
for program in gpu_kernels_tests gpu_golden_tests engine_bench; do
  [ -x "$bin/$program" ] || { echo "gpu bundle: no $bin/$program: it needs a CUDA compiler" >&2; exit 1; }
  install -s -m 755 "$bin/$program" "$out/bin/$program"
  ldd "$bin/$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
  case $(basename "$library") in
    libc.so.* | libm.so.* | libdl.so.* | librt.so.* | libpthread.so.* | ld-linux*) ;;  # the system's own
    *) install -m 644 "$library" "$out/lib/" ;;
  esac
done
cp -r "$root/tests/data/golden" "$root/tests/data/odd" "$out/data/"
install -m 755 "$root/tests/gpu/run.sh" "$out/run.sh"
echo "$(git -C "$root" rev-parse --short HEAD 2>/dev/null || echo unknown)" > "$out/commit"
tar -C "$(dirname "$out")" -c "$(basename "$out")" | zstd -q -f -10 -o "$out.tar.zst"
du -sh "$out" "$out.tar.zst" | awk '{ print "gpu bundle: " $1 " in " $2 }'
