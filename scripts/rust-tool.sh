# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How the user programs in tools/ are built: static, with man pages and completions beside them.

# build_tool NAME: prints the path of the program; the rest is in the folder `share` beside it
build_tool() {
	local name=$1
	export TOOL=$TOP/tools/$1 TARGET=x86_64-unknown-linux-gnu
	# Cargo's folder is for all checkouts; what is used afterwards is ours.
	export CARGO_TARGET_DIR=$CACHE/$1 OUT
	OUT=$CACHE/$1/out-$(printf '%s\n' "$TOP" | hash_of -)
	lock "$name"
	mkdir -p "$OUT"
	build() {
		cd "$TOOL" || return 1
		# With a target given, the flag is not for what runs during the build.
		RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release --target "$TARGET" &&
			rm -rf "$OUT/share" && mkdir "$OUT/share" &&
			cargo run --locked --example pages -- "$OUT/share"
	}
	export -f build
	progress "building $name" "$CACHE/log/$name.log" 0 bash -c build ||
		die "$name does not build" "See $CACHE/log/$name.log; are crates.io and a linker there?"
	cp "$CARGO_TARGET_DIR/$TARGET/release/$name" "$OUT/$name.new"
	! readelf -lW "$OUT/$name.new" | grep -q INTERP ||
		die "$name is not static" "Is libc.a there, of libc6-dev?"
	mv "$OUT/$name.new" "$OUT/$name"
	printf '%s\n' "$OUT/$name"
}
