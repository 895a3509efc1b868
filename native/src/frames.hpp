// Log-probabilities as the decoders read them: views of (T, C) rows, checked once, frame by frame.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace asr {

// One utterance: `num_frames` rows of `num_classes` values, rows `row_stride` elements apart.
template <class Float>
struct Frames {
    const Float* data;
    std::int64_t row_stride;
    std::int32_t num_frames;
    std::int32_t num_classes;
    std::int64_t utterance = 0;    // for messages
    std::int64_t first_frame = 0;  // number of row 0 within its utterance, for messages

    const Float* row(std::int32_t frame) const { return data + frame * row_stride; }
};

// Largest value of a row. Throws std::invalid_argument that names utterance, frame and class when a
// value is NaN or +inf. Eight independent lanes let the compiler use vector instructions without
// the fast-math that would break infinities.
template <class Float>
Float checked_row_max(const Frames<Float>& frames, std::int32_t frame) {
    constexpr int kLanes = 8;
    constexpr Float kInfinity = std::numeric_limits<Float>::infinity();
    const Float* row = frames.row(frame);
    Float lane_max[kLanes];
    int lane_bad[kLanes] = {};
    for (auto& value : lane_max) value = -kInfinity;
    std::int32_t c = 0;
    for (; c + kLanes <= frames.num_classes; c += kLanes) {
        for (int k = 0; k < kLanes; ++k) {
            const Float value = row[c + k];
            lane_max[k] = lane_max[k] < value ? value : lane_max[k];
            lane_bad[k] |= !(value < kInfinity);
        }
    }
    for (; c < frames.num_classes; ++c) {
        lane_max[0] = lane_max[0] < row[c] ? row[c] : lane_max[0];
        lane_bad[0] |= !(row[c] < kInfinity);
    }
    Float row_max = lane_max[0];
    int bad = lane_bad[0];
    for (int k = 1; k < kLanes; ++k) {
        row_max = row_max < lane_max[k] ? lane_max[k] : row_max;
        bad |= lane_bad[k];
    }
    if (bad) {
        for (c = 0; row[c] < kInfinity; ++c) {
        }
        throw std::invalid_argument("log_probs must be finite or -inf, got " +
                                    std::string(std::isnan(row[c]) ? "NaN" : "+inf") +
                                    " in utterance " + std::to_string(frames.utterance) +
                                    ", frame " + std::to_string(frames.first_frame + frame) +
                                    ", class " + std::to_string(c));
    }
    return row_max;
}

}  // namespace asr
