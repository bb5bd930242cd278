#!/bin/sh
# Run in the finished tree as the image's user: versions, a forward and backward pass,
# and one QLoRA step through TRL.
set -eu
test "$(id -u)" = 2000
test ! -w /usr
python3 -m kaito_tuner.doctor
