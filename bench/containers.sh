# SPDX-License-Identifier: MIT
#
# The Docker Engine of the stories (tests/scenario/containers.sh) for benchmarks. Sourced after lib.sh; it stands in for
# what that wants from a story.

skip() { say "$*"; exit 1; }
fail() { skip "$@"; }
dump() { :; }
curl_admin() { curl -s --unix-socket "$(echo "$DARUMA_RUN_DIR"/*/admin.sock)" "http://daruma/v1/$1"; }
story_end() { finish; }
. "$root/tests/scenario/containers.sh"
