#!/bin/sh
# Generates typed ESM from thaw.proto, and puts it where the compiled code looks for it: tsc copies no JavaScript.
set -eu
cd "$(dirname "$0")"
out=generated
dist=../../dist/core/image/generated
[ -e thaw.proto ] || exit 0
if [ ! -e $out/thaw.js ] || [ thaw.proto -nt $out/thaw.js ]; then
  mkdir -p $out
  # 64-bit fields stay Long on the wire side; core converts with { longs: BigInt }.
  pbjs --target static-module --wrap esm --dts --no-service --no-typeurl --no-delimited --out $out/thaw.js thaw.proto
fi
mkdir -p $dist
cp -u $out/thaw.js $out/thaw.d.ts $dist/
