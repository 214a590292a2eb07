#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh OUTPUT.S SYMBOL FILE [SYMBOL FILE...]: an assembler file that puts each FILE into the program, aligned to 8, as SYMBOL,
# with SYMBOL_end behind it and a NUL after that.
set -eu
output=$1
shift
{
	echo '	.section .rodata, "a"'
	while [ $# -ge 2 ]; do
		printf '\t.balign 8\n\t.globl %s\n\t.hidden %s\n\t.type %s, @object\n%s:\n\t.incbin "%s"\n' "$1" "$1" "$1" "$1" "$2"
		printf '\t.globl %s_end\n\t.hidden %s_end\n%s_end:\n\t.byte 0\n\t.size %s, . - %s\n' "$1" "$1" "$1" "$1" "$1"
		shift 2
	done
	echo '	.section .note.GNU-stack, "", %progbits'
} >"$output"
