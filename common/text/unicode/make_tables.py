#!/usr/bin/env python3
"""Writes tables.cpp: what the system's libraries do not know about Unicode, or know too well.

Needs Python 3.11 (unicodedata of Unicode 14, as PCRE2 10.42 has it), the package unicodedata2 16.0 and, for the
numeric characters, unicodedata2 17.0 in a directory of its own (argument 1: directory of 16.0, argument 2: of 17.0);
perl for the age of characters. Run once per change of version; the output is in the tree.
"""
import importlib
import subprocess
import sys
import unicodedata as u14


def load(directory):
    sys.path.insert(0, directory)
    sys.modules.pop("unicodedata2", None)
    module = importlib.import_module("unicodedata2")
    sys.path.pop(0)
    return module


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def emit(name, points, comment):
    print(f"// {comment}")
    items = [f"{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(points)]
    print(f"constexpr CodePointRange {name}[] = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 118:
            print(line)
            line = "   "
        line += f" {item},"
    print(line)
    print("};\n")


u16, u17 = load(sys.argv[1]), load(sys.argv[2])
assert u14.unidata_version == "14.0.0" and u16.unidata_version == "16.0.0" and u17.unidata_version == "17.0.0"
ALL = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def assigned_by(version):
    perl = r'for my $c (0..0x10FFFF) { next if $c >= 0xD800 && $c <= 0xDFFF; print "$c\n" if chr($c) =~ /\p{In=%s}/ }'
    run = subprocess.run(["perl", "-e", perl % version], capture_output=True, text=True, check=True)
    return {int(x) for x in run.stdout.split()}


def word_characters():
    """Perl's, of Unicode 14 (Alphabetic, M, Nd, Pc, Join_Control), and what has been assigned since."""
    perl = r'for my $c (0..0x10FFFF) { next if $c >= 0xD800 && $c <= 0xDFFF; print "$c\n" if chr($c) =~ /\w/u }'
    run = subprocess.run(["perl", "-e", perl], capture_output=True, text=True, check=True)
    late = {c for c in ALL if u14.category(chr(c)) == "Cn" and u16.category(chr(c)) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc")}
    return {int(x) for x in run.stdout.split()} | late


OLD = assigned_by("9.0")

firsts, seconds = set(), set()
for c in ALL:
    d = u16.decomposition(chr(c))
    if d and not d.startswith("<"):
        parts = [int(x, 16) for x in d.split()]
        if len(parts) == 2 and u16.normalize("NFC", chr(c)) == chr(c):
            firsts.add(parts[0])
            seconds.add(parts[1])
hangul_vt = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))
seconds |= hangul_vt
unstable = {c for c in ALL if u16.combining(chr(c)) or u16.normalize("NFC", chr(c)) != chr(c)}

print("// Written by make_tables.py; do not edit.")
print('#include "common/text/unicode/tables.h"\n')
print("namespace switchyard::text {\nnamespace {\n")
emit("kNumeric", {c for c in ALL if u17.category(chr(c)) in ("Nd", "Nl", "No")}, "General category N, Unicode 17.")
emit("kNfcUnsafe", {c for c in OLD if c in unstable or c in seconds}, "Assigned by Unicode 9; not a starter, or changed by NFC, or may join what stands before.")
emit("kNfcLate", {c for c in ALL if c not in OLD and (c in unstable or c in seconds or c in firsts or u16.decomposition(chr(c)))},
     "Assigned after Unicode 9 and of interest to normalisation.")
# What had another category then than now.
V8 = assigned_by("8.0")
then8 = {0x1734: "Mn", 0x1171E: "Mn", 0x1885: "Lo", 0x1886: "Lo", 0xA9BD: "Mc", 0x111C9: "Po", 0x166D: "Po"}
then9 = {0x1CF2: "Mc", 0x1CF3: "Mc", 0x111C9: "Po"}
category8 = {c: then8.get(c, u16.category(chr(c))) for c in V8}
emit("kPunctuation", {c for c in V8 if category8[c][0] == "P"}, "General category P of Unicode 8.")
emit("kControl", {c for c in V8 if category8[c] in ("Cc", "Cf", "Co")}, "General categories Cc, Cf and Co of Unicode 8.")
emit("kNonspacing", {c for c in V8 if category8[c] == "Mn"}, "General category Mn of Unicode 8.")
emit("kMark", {c for c in OLD if then9.get(c, u16.category(chr(c)))[0] == "M"}, "General category M of Unicode 9.")
emit("kWord", word_characters(), "\\w of UTS 18, annex C, of Unicode 16.")
categories = sorted({u16.category(chr(c)) for c in ALL} - {"Cn"})
names = []
for category in categories:
    points = {c for c in ALL if u16.category(chr(c)) == category and u14.category(chr(c)) == "Cn"}
    if points:
        emit(f"kAdded{category}", points, f"General category {category}, assigned by Unicode 15 to 16.")
        names.append(category)
print("constexpr AddedCategory kAdded[] = {")
for n in names:
    print(f'    {{"{n}", kAdded{n}}},')
print("};\n\n}  // namespace\n")
print("std::span<const CodePointRange> numeric_ranges() { return kNumeric; }")
print("std::span<const CodePointRange> nfc_unsafe_ranges() { return kNfcUnsafe; }")
print("std::span<const CodePointRange> nfc_late_ranges() { return kNfcLate; }")
print("std::span<const CodePointRange> punctuation_ranges() { return kPunctuation; }")
print("std::span<const CodePointRange> control_ranges() { return kControl; }")
print("std::span<const CodePointRange> nonspacing_ranges() { return kNonspacing; }")
print("std::span<const CodePointRange> mark_ranges() { return kMark; }")
print("std::span<const CodePointRange> word_ranges() { return kWord; }")
print("std::span<const AddedCategory> categories_added_since_14() { return kAdded; }\n")
print("}  // namespace switchyard::text")
