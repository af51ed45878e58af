#!/bin/sh
# Many cameras, side by side in one window, each with its own JSON lines: cam0.jsonl, cam1.jsonl, …
# Usage: pipelines/cameras.sh MODELS URL…      e.g. pipelines/cameras.sh set rtsp://a/stream rtsp://b/stream
# Addresses and files alike; one engine scores them all. SETTINGS ("tracker=sort …") are for each of them; SOURCE, SINK and LINES_DIR replace the ends.
# No globbing: addresses have question marks.
set -euf
models=${1:?name a model set, a folder with uniood.json}
shift
[ $# -gt 0 ] || { echo 'name at least one address or file' >&2; exit 2; }
branches=''
layout=''
n=0
for input in "$@"; do
  case $input in
    rtsp://* | rtsps://*) source="rtspsrc location=\"$input\" latency=200" ;;
    *://*) source="urisourcebin uri=\"$input\"" ;;
    *) source="filesrc location=\"$input\"" ;;
  esac
  branches="$branches ${SOURCE:-$source} ! unioodfilter name=cam$n model-dir=\"$models\" model-instance-id=cameras overload=bypass ${SETTINGS:-} ! queue !
    videoconvert ! videoscale ! video/x-raw,width=640,height=360 ! mix.sink_$n cam$n.meta ! filesink location=\"${LINES_DIR:-.}/cam$n.jsonl\""
  layout="$layout sink_$n::xpos=$((n % 2 * 640)) sink_$n::ypos=$((n / 2 * 360))"
  n=$((n + 1))
done
# Unquoted on purpose: the pieces are a launch line.
exec "${GST_LAUNCH:-gst-launch-1.0}" -e compositor name=mix $layout ! ${SINK:-videoconvert ! autovideosink} $branches
