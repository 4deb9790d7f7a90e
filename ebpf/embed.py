#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes a C array of an object for BPF, without its debug information (BTF stays).

    embed.py LLVM-STRIP OBJECT OUTPUT.c NAME
"""
import subprocess, sys, tempfile

strip, source, output, name = sys.argv[1:]
with tempfile.NamedTemporaryFile() as stripped:
    subprocess.run([strip, "-g", "-o", stripped.name, source], check=True)
    with open(stripped.name, "rb") as f:
        data = f.read()
with open(output, "w", encoding="ascii") as out:
    out.write(f'#include "ebpf/{name}.h"\n\n_Alignas(8) const unsigned char {name}[] = {{\n')
    for i in range(0, len(data), 24):
        out.write("\t" + ",".join(map(str, data[i:i + 24])) + ",\n")
    out.write(f"}};\nconst unsigned long {name}_len = sizeof({name});\n")
