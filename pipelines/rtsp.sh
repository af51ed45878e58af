#!/bin/sh
# A network camera: annotated in a window, verdicts as JSON lines on stdout.
# Usage: pipelines/rtsp.sh URL MODELS [SETTING=VALUE…]      e.g. pipelines/rtsp.sh rtsp://camera/stream set
# The address may hold user and password; the JSON lines do not. SOURCE, SINK and LINES_FILE replace the ends.
set -eu
url=${1:?name an address such as rtsp://camera/stream}
models=${2:?name a model set, a folder with uniood.json}
shift 2
# Unquoted on purpose: SOURCE and SINK are pieces of a launch line.
exec "${GST_LAUNCH:-gst-launch-1.0}" -e -q \
  ${SOURCE:-rtspsrc location="$url" latency=200} ! \
  unioodfilter name=f model-dir="$models" overload=bypass "$@" ! \
  ${SINK:-videoconvert ! autovideosink} \
  f.meta ! filesink location="${LINES_FILE:-/dev/stdout}" buffer-mode=unbuffered
