#!/bin/sh
# A camera: annotated in a window. Frames that cannot be scored in time go through unscored and marked.
# Usage: pipelines/camera.sh DEVICE MODELS [SETTING=VALUE…]      e.g. pipelines/camera.sh /dev/video0 set
# Raw and MJPEG cameras alike: what the camera sends is decoded or converted inside. SOURCE and SINK replace the ends.
set -eu
device=${1:?name a device such as /dev/video0}
models=${2:?name a model set, a folder with uniood.json}
shift 2
# Unquoted on purpose: SOURCE and SINK are pieces of a launch line.
exec "${GST_LAUNCH:-gst-launch-1.0}" -e \
  ${SOURCE:-v4l2src device="$device"} ! queue max-size-buffers=2 leaky=downstream ! \
  unioodfilter model-dir="$models" overload=bypass "$@" ! \
  ${SINK:-videoconvert ! autovideosink}
