#!/bin/sh
# Run in the finished tree as the image's user.
set -eu
test "$(id -u)" = 2000
test ! -w /usr
llama-server --version
test "$(find / -xdev -name 'libggml-cpu-*.so*' 2>/dev/null | wc -l)" -ge 10 # one build a processor family
