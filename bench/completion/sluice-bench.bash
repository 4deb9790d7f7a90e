# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Completion for sluice-bench in bash.  Needs no helpers of the bash-completion package.  Commands,
# options and what they take are asked of the program's own help, so nothing here can be out of date.

# COMPREPLY: the words of $1 that begin with what was typed.
_sluice_bench_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# COMPREPLY: names of files (-f) or folders (-d).
_sluice_bench_names() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

# The value of option $1, by the word behind it in the help $2.  False: it takes none.
_sluice_bench_value() {
	local kind
	[[ $1 == --* ]] || return 1
	kind=$(grep -oE -m 1 -e "(^|[^a-z-])$1[ =][A-Z]+" <<<"$2" | grep -oE '[A-Z]+$')
	case $kind in
	'') return 1 ;;
	FILE*) _sluice_bench_names -f ;;
	DIR* | FOLDER*) _sluice_bench_names -d ;;
	esac
}

_sluice_bench() {
	local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev='' command='' commands help

	COMPREPLY=()
	((COMP_CWORD == 0)) || prev=${COMP_WORDS[COMP_CWORD - 1]}
	# bash takes --out=FILE for three words.
	if [[ $cur == = ]]; then
		cur=''
	elif [[ $prev == = ]] && ((COMP_CWORD >= 2)); then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi

	((COMP_CWORD < 2)) || command=${COMP_WORDS[1]}
	if [[ -z $command || $command == help ]]; then
		commands=$("$program" --help 2>/dev/null | sed -nE '/^Tiers/q; s/^  ([a-z]+) .*/\1/p')
		if [[ -z $command ]]; then
			_sluice_bench_words "$commands --version --help"
		elif ((COMP_CWORD == 2)); then
			_sluice_bench_words "$commands"
		fi
		return
	fi
	help=$("$program" "$command" --help 2>/dev/null)
	if _sluice_bench_value "$prev" "$help"; then return; fi
	if [[ $cur == -* ]]; then
		_sluice_bench_words "$(grep -oE '(^|[^a-z-])--[a-z][a-z0-9-]*' <<<"$help" | grep -oE -e '--.*' | sort -u)"
	elif [[ $command == compare || $command == report ]]; then
		_sluice_bench_names -f
	fi
}

complete -F _sluice_bench sluice-bench
