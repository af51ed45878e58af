#!/bin/sh
# Boxes from another element in front: DL Streamer's gvadetect, or whatever puts region-of-interest metas on the buffers.
# Usage: pipelines/upstream.sh VIDEO DETECTOR-MODEL MODELS [SETTING=VALUE…]      e.g. pipelines/upstream.sh a.mp4 yolox.xml set
# SOURCE, DETECTOR, SINK and LINES_FILE replace the parts.
set -eu
video=${1:?name a video file}
detector_model=${2:?name the model of the detector in front}
models=${3:?name a model set, a folder with uniood.json}
shift 3
# Unquoted on purpose: SOURCE, DETECTOR and SINK are pieces of a launch line.
exec "${GST_LAUNCH:-gst-launch-1.0}" -e \
  ${SOURCE:-filesrc location="$video" ! decodebin ! videoconvert} ! \
  ${DETECTOR:-gvadetect model="$detector_model" ! queue} ! \
  unioodfilter name=f model-dir="$models" detector=upstream "$@" ! \
  ${SINK:-videoconvert ! autovideosink} \
  f.meta ! filesink location="${LINES_FILE:-verdicts.jsonl}"
