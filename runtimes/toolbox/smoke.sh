#!/bin/sh
# Run in the finished tree as the image's user.
set -eu
test "$(id -u)" = 2000
test ! -w /usr
curl --version
skopeo --version
test -s /etc/ssl/certs/ca-certificates.crt
