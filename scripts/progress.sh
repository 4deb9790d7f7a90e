# SPDX-License-Identifier: BSD-3-Clause
# Sourced by the scripts beside it: lines that a person can follow while something long runs.
# shellcheck shell=bash

say() { printf '%s: %s\n' "${progress_name:-sluice}" "$*"; }
die() {
	say "$*" >&2
	exit 1
}

# progress TEXT LOG COMMAND...   runs COMMAND with its output in LOG and prints TEXT, a dot every two seconds, and how
# long it took.  When it fails, the end of LOG is shown and the status of COMMAND returned.
progress() {
	local text=$1 log=$2 t0=$SECONDS status=0 pid
	shift 2
	printf '%s: %s ' "${progress_name:-sluice}" "$text"
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while progress_alive "$pid"; do
		printf '.'
		# Short at first, so that what is quick does not wait for the next dot.
		if ((SECONDS - t0 < 2)); then sleep 0.2; else sleep 2; fi
	done
	wait "$pid" || status=$?
	if ((status == 0)); then
		printf ' done in %d s\n' $((SECONDS - t0))
		return 0
	fi
	printf ' failed after %d s (status %d), the end of %s:\n' $((SECONDS - t0)) "$status" "$log"
	tail -n 25 "$log" | sed 's/^/    /'
	return "$status"
}

# Alive and not just waiting to be collected.
progress_alive() {
	local state
	state=$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null) || return 1
	[[ -n $state && $state != Z ]]
}
