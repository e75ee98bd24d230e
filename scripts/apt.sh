# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Packages of another Debian suite, without touching the machine's own apt: each suite has
# a private state in the cache, and the mirror is the one that the machine is set up with.

apt_suite() { # shellcheck disable=SC1091
	(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
}

# The mirror of the machine's own suite, by whatever name its sources have that: Debian's before one that has a
# suite of the same name. Where apt has no lists, as in many containers, by the names in the sources alone.
apt_mirror() {
	local own
	own=$(apt_suite)
	# "$(...)" is apt's own template language.
	# shellcheck disable=SC2016
	{
		apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(CODENAME)|$(COMPONENT)' 'Created-By: Packages'
		apt-get update --print-uris | sed -n "s,^'\(.*\)/dists/$own/InRelease' .*,|\1|$own|$own|main,p"
	} 2>/dev/null | awk -F'|' -v own="$own" '
		($3 == own || $4 == own) && $5 == "main" { if (!mirror || ($1 == "Debian" && !debian)) mirror = $2; debian = debian || $1 == "Debian" }
		END { print mirror }'
}

# apt_state SUITE...: sets APT_OPTIONS for apt-get and apt-cache to use these suites only.
# All of these return 1 after saying why; the caller knows what else there is.
apt_state() {
	local folder mirror keyring
	command -v apt-get >/dev/null || { note "this machine has no apt" && return 1; }
	mirror=$(apt_mirror)
	[ -n "$mirror" ] || { note "apt has no Debian mirror for suite '$(apt_suite)'; apt-get update may help" && return 1; }
	folder=$CACHE/apt/$(printf '%s+' "$@")
	folder=${folder%+}
	mkdir -p "$folder/sources" "$folder/lists/partial" "$folder/cache/archives/partial"
	{
		printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "$mirror" "$*"
		for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
			[ ! -e "$keyring" ] || { printf 'Signed-By: %s\n' "$keyring" && break; }
		done
	} >"$folder/sources/debian.sources"
	APT_OPTIONS=(-q -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$folder/sources"
		-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache"
		-o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none)
	APT_STAMP=$folder/updated
	# A day-old list still names what the mirror has; a stale one shows as a failed download.
	[ -n "$(find "$APT_STAMP" -mtime -1 2>/dev/null)" ] || apt_update
}

apt_update() {
	local log=${APT_STAMP%/*}/update.log
	note "reading the package lists of $(basename "${APT_STAMP%/*}")"
	# One at a time: apt does not wait for its lock.
	if ! flock "$log.lock" apt-get "${APT_OPTIONS[@]}" update >"$log" 2>&1 || grep -qE '^(E|W: Failed)' "$log"; then
		tail -n 5 "$log" >&2
		note "the mirror's package lists cannot be read"
		return 1
	fi
	touch "$APT_STAMP"
}

# apt_fetch FOLDER apt-get's arguments...: a download into the folder, tried again with new lists
apt_fetch() {
	local folder=$1
	shift
	mkdir -p "$folder"
	(cd "$folder" && apt-get "${APT_OPTIONS[@]}" "$@" >apt.log 2>&1) && return
	apt_update || return 1
	(cd "$folder" && apt-get "${APT_OPTIONS[@]}" "$@" >apt.log 2>&1) || {
		tail -n 5 "$folder/apt.log" >&2
		return 1
	}
}

# apt_versions PACKAGE: what the suites offer, newest first
apt_versions() { apt-cache "${APT_OPTIONS[@]}" madison "$1" | awk -F' *[|] *' '/Packages$/ { print $2 }'; }

# apt_sources PACKAGE: likewise for source packages
apt_sources() { apt-cache "${APT_OPTIONS[@]}" madison "$1" | awk -F' *[|] *' '/Sources$/ { print $2 }'; }

# kernel_suites SERIES: the suites that have, or had, a kernel of this series; demo is this machine's own
kernel_suites() {
	case $1 in
	demo) apt_suite ;;
	6.1) printf 'bookworm\n' ;;
	6.12) printf 'trixie bookworm-backports\n' ;;
	*) printf 'trixie-backports\n' ;;
	esac
}
