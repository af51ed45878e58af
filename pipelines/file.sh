#!/bin/sh
# A video file: annotated in a window, verdicts as JSON lines beside where you stand.
# Usage: pipelines/file.sh VIDEO MODELS [SETTING=VALUE…]      e.g. pipelines/file.sh demo-out/drive.mp4 models/street-tiny/set tracker=sort
# Any container or encoded stream that GStreamer decodes. SOURCE, SINK and LINES_FILE replace the ends.
set -eu
video=${1:?name a video file}
models=${2:?name a model set, a folder with uniood.json}
shift 2
# Unquoted on purpose: SOURCE and SINK are pieces of a launch line.
exec "${GST_LAUNCH:-gst-launch-1.0}" -e \
  ${SOURCE:-filesrc location="$video"} ! \
  unioodfilter name=f model-dir="$models" "$@" ! \
  ${SINK:-videoconvert ! autovideosink} \
  f.meta ! filesink location="${LINES_FILE:-verdicts.jsonl}"
