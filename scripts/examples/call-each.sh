#!/usr/bin/env bash
# call-each.sh URI <LIST: call URI with each line of a list, eight at a time, over
# one connection. The results come in the order of the list, a line each; a call
# that fails is said on stderr, and the exit code is the highest of all. With
#
#   dconn register --concurrency 4 org.example.thumb -- convert {0} -resize 200 {0}.png
#
# this makes thumbnails of all photos, four at a time:
#
#   find ~/Pictures -name '*.jpg' | call-each.sh org.example.thumb
set -euo pipefail

uri=${1:?usage: call-each.sh URI <LIST}
# a line becomes a JSON string
sed -e 's/[\\"]/\\&/g' -e 's/\t/\\t/g' -e 's/.*/{"args":["&"]}/' |
    dconn call --lines --parallel 8 -o raw "$uri"
