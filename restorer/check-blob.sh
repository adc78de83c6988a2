#!/bin/sh
# Fails unless the linked interpreter may be copied anywhere as bytes: nothing undefined, no writable data, and every
# reference relative to the instruction that makes it. Usage: check-blob.sh ELF
set -eu
elf=$1

fail() { echo "$elf: $1" >&2; exit 1; }

undefined=$(nm -u "$elf")
[ -z "$undefined" ] || fail "undefined symbols: $undefined"

writable=$(nm "$elf" | grep -E ' [BbDdGgSsCVv] ' || true)
[ -z "$writable" ] || fail "writable data: $writable"

# The relocations were kept by the linker for this check; all of another kind would need a fixed address.
absolute=$(readelf -rW "$elf" | grep -oE '\bR_X86_64_[A-Z0-9_]+.*' | grep -vE '^R_X86_64_(PC32|PLT32|PC64) ' || true)
[ -z "$absolute" ] || fail "absolute relocations: $absolute"
