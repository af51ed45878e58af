//! Every format in and out unchanged, at odd sizes, with odd strides.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameExt, VideoInfo, VideoMeta};
use gstuniood::OodMeta;

use crate::support::{HANG, ModelSet, Rig, completes_within, filter, info, picture, rows, scored, stamped};

const FORMATS: [VideoFormat; 12] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
];

const SIZES: [(u32, u32); 3] = [(96, 64), (97, 61), (33, 125)];

/// The same picture with bytes between its rows and planes, and none behind the last row.
fn padded(plain: &gst::Buffer, info: &VideoInfo, between: usize) -> gst::Buffer {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(plain, info).unwrap();
    let (mut bytes, mut offsets, mut strides) = (vec![0xAA_u8; 5], Vec::new(), Vec::new());
    for plane in 0..frame.n_planes() {
        let stride = usize::try_from(frame.plane_stride()[plane as usize]).unwrap();
        let lines: Vec<_> = frame.plane_data(plane).unwrap().chunks(stride).collect();
        offsets.push(bytes.len());
        strides.push(i32::try_from(stride + between).unwrap());
        for (index, line) in lines.iter().enumerate() {
            bytes.extend_from_slice(line);
            let last = plane + 1 == frame.n_planes() && index + 1 == lines.len();
            bytes.extend(std::iter::repeat_n(0xAA, if last { 0 } else { between }));
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    VideoMeta::add_full(
        buffer.make_mut(),
        gst_video::VideoFrameFlags::empty(),
        info.format(),
        info.width(),
        info.height(),
        &offsets,
        &strides,
    )
    .unwrap();
    buffer
}

#[test]
fn pixels_come_out_as_they_went_in_when_nothing_is_drawn() {
    completes_within(2 * HANG, || {
        let set = ModelSet::golden();
        let filter = filter(&set);
        filter.set_property("annotate", false);
        let rig = Rig::new(filter);
        assert!(rig.src.push_event(gst::event::StreamStart::new("test")));
        let mut wanted = Vec::new();
        for format in FORMATS {
            for (width, height) in SIZES {
                let info = info(format, width, height);
                rig.caps(&info);
                if wanted.is_empty() {
                    assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
                }
                let plain = picture(&info, 0);
                let pixels = rows(&plain, &info);
                for buffer in [plain.clone(), padded(&plain, &info, 1), padded(&plain, &info, 64)] {
                    rig.push(stamped(buffer, wanted.len() as u64));
                    wanted.push((info.clone(), pixels.clone()));
                }
            }
        }
        let buffers = rig.buffers();
        assert_eq!(buffers.len(), wanted.len());
        for (buffer, (info, pixels)) in buffers.iter().zip(&wanted) {
            assert!(rows(buffer, info) == *pixels, "{info:?}");
            assert_eq!(OodMeta::from_buffer(buffer).unwrap().unscored, None, "{info:?}");
        }
    });
}

#[test]
fn what_is_drawn_stays_inside_the_rows() {
    completes_within(2 * HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        assert!(rig.src.push_event(gst::event::StreamStart::new("test")));
        let mut sent = Vec::new();
        for format in FORMATS {
            let info = info(format, 97, 61);
            rig.caps(&info);
            if sent.is_empty() {
                assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
            }
            let plain = picture(&info, 0);
            for buffer in [plain.clone(), padded(&plain, &info, 64)] {
                rig.push(stamped(buffer, sent.len() as u64));
                sent.push((info.clone(), rows(&plain, &info)));
            }
        }
        let buffers = rig.buffers();
        for (pair, sent) in buffers.chunks(2).zip(sent.chunks(2)) {
            let (info, before) = &sent[0];
            let drawn: Vec<_> = pair.iter().map(|buffer| rows(buffer, info)).collect();
            assert!(drawn[0] != *before, "{info:?}: something is drawn");
            assert!(drawn[0] == drawn[1], "{info:?}: the same, whatever the stride");
        }
    });
}

#[test]
fn the_whole_frame_scores_alike_in_every_packed_format() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        assert!(rig.src.push_event(gst::event::StreamStart::new("test")));
        // Grey: the same bytes in whatever order.
        let mut omegas = Vec::new();
        for format in &FORMATS[2..] {
            let info = info(*format, 97, 61);
            rig.caps(&info);
            if omegas.is_empty() {
                assert!(rig.src.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
            }
            rig.push(stamped(gst::Buffer::from_mut_slice(vec![90_u8; info.size()]), 0));
            let meta = OodMeta::from_buffer(&rig.buffer()).unwrap();
            omegas.push(scored(&meta.objects[0].verdict).omega);
        }
        assert!(omegas.iter().all(|omega| (omega - omegas[0]).abs() < 1e-5), "{omegas:?}");
    });
}

#[test]
fn downstream_that_takes_no_video_meta_gets_the_default_layout() {
    completes_within(HANG, || {
        let rig = Rig::new(filter(&ModelSet::golden()));
        let info = info(VideoFormat::I420, 97, 61);
        rig.start(&info);
        let mut query = gst::query::Allocation::new(Some(&info.to_caps().unwrap()), true);
        // The test pad answers no allocation query; the element still takes any layout.
        assert!(rig.src.peer_query(&mut query));
        assert!(query.find_allocation_meta::<VideoMeta>().is_some());
        assert!(query.allocation_pools().all(|(_, size, min, _)| size as usize == info.size() && min > 0));
        let plain = picture(&info, 0);
        rig.push(stamped(padded(&plain, &info, 64), 0));
        let buffer = rig.buffer();
        assert!(buffer.meta::<VideoMeta>().is_none());
        assert_eq!(buffer.size(), info.size());
        assert_eq!(buffer.pts(), Some(gst::ClockTime::ZERO));
        assert_eq!(OodMeta::from_buffer(&buffer).unwrap().objects.len(), 1);
        assert_eq!(rig.src.peer_query_caps(None).structure(0).unwrap().name(), "video/x-raw");
    });
}
