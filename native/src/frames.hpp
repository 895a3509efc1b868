// Log-probabilities as the decoders read them: views of (T, C) rows, checked once, frame by frame.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>

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

// Sixteen bytes of values, which every 64-bit processor handles at once. Compilers do not find this
// form by themselves: without fast-math, which would break infinities, a search for a largest value
// stays scalar.
template <class Float>
struct Lanes {
    static constexpr std::int32_t kCount = 16 / sizeof(Float);
    typedef Float Values __attribute__((vector_size(16)));
    using Bit = std::conditional_t<sizeof(Float) == 4, std::uint32_t, std::uint64_t>;
    typedef Bit Bits __attribute__((vector_size(16)));

    static Values load(const Float* values) {
        Values lanes;
        std::memcpy(&lanes, values, sizeof(lanes));
        return lanes;
    }
    // 1, 2, ...: a bit for each lane.
    static Bits first_places() {
        Bits places{};
        for (std::int32_t k = 0; k < kCount; ++k) places[k] = Bit{1} << k;
        return places;
    }
};

// A number as a message shows it.
inline std::string shown(double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", value);
    return text;
}

// ln of the largest probability that is taken for one: half precision rounds a little.
constexpr double kLargestLogProb = 1e-3;

template <class Float>
[[noreturn]] void refuse_row(const Frames<Float>& frames, std::int32_t frame) {
    const Float* row = frames.row(frame);
    const auto is_bad = [](Float value) { return !(value <= Float(kLargestLogProb)); };
    const auto is_no_number = [](Float value) {
        return !(value < std::numeric_limits<Float>::infinity());
    };
    const Float* end = row + frames.num_classes;
    const Float* value = std::find_if(row, end, is_no_number);
    const bool is_finite = value == end;
    if (is_finite) value = std::find_if(row, end, is_bad);
    const std::string got = std::isnan(*value) ? "NaN" : is_finite ? shown(*value) : "+inf";
    const std::string rule = is_finite ? "log_probs must be ln of probabilities, at most 0"
                                       : "log_probs must be finite or -inf";
    // What a user reads last is what to do.
    const std::string hint =
        is_finite ? ": give input=\"logits\" or input=\"probs\" if they are such" : "";
    throw std::invalid_argument(rule + ", got " + got + " in utterance " +
                                std::to_string(frames.utterance) + ", frame " +
                                std::to_string(frames.first_frame + frame) + ", class " +
                                std::to_string(value - row) + hint);
}

// Largest value of a row. Throws std::invalid_argument that names utterance, frame and class when a
// value is NaN, +inf or above kLargestLogProb. The latter is what probabilities and logits have
// almost everywhere, and it costs nothing to see; rows whose probabilities sum to less than 1,
// pruned or impossible ones, are sound.
template <class Float>
Float checked_row_max(const Frames<Float>& frames, std::int32_t frame) {
    using L = Lanes<Float>;
    constexpr Float kInfinity = std::numeric_limits<Float>::infinity();
    const Float* row = frames.row(frame);
    const std::int32_t num_classes = frames.num_classes;
    Float largest = -kInfinity;
    bool good = true;
    if (num_classes < 2 * L::kCount) {
        for (std::int32_t c = 0; c < num_classes; ++c) {
            good &= row[c] < kInfinity;
            largest = row[c] > largest ? row[c] : largest;
        }
    } else {
        // The last values first; some come a second time below, which a maximum does not mind.
        auto even = L::load(row + num_classes - 2 * L::kCount);
        auto odd = L::load(row + num_classes - L::kCount);
        auto all_good = (even < kInfinity) & (odd < kInfinity);
        for (std::int32_t c = 0; c + 2 * L::kCount <= num_classes; c += 2 * L::kCount) {
            const auto first = L::load(row + c);
            const auto second = L::load(row + c + L::kCount);
            all_good &= (first < kInfinity) & (second < kInfinity);
            even = first > even ? first : even;
            odd = second > odd ? second : odd;
        }
        even = even > odd ? even : odd;
        for (std::int32_t k = 0; k < L::kCount; ++k) {
            good &= all_good[k] != 0;
            largest = even[k] > largest ? even[k] : largest;
        }
    }
    if (!good || largest > Float(kLargestLogProb)) refuse_row(frames, frame);
    return largest;
}

// Bit k tells whether `test` holds for values[k]; `size`, of whole lanes, is at most kBlock. Values
// are compared all together: a loop that looks at one after the other branches where no processor
// expects it.
constexpr std::int32_t kBlock = 32;
template <class Float, class Test>
std::uint32_t bits_where(const Float* values, std::int32_t size, const Test& test) {
    using L = Lanes<Float>;
    typename L::Bits found{};
    typename L::Bits place = L::first_places();
    for (std::int32_t k = 0; k < size; k += L::kCount, place <<= L::kCount) {
        found |= (typename L::Bits)(test(L::load(values + k))) & place;
    }
    std::uint32_t bits = 0;
    for (std::int32_t k = 0; k < L::kCount; ++k) bits |= static_cast<std::uint32_t>(found[k]);
    return bits;
}

// Index of the first value that equals `wanted`, which must be there.
template <class Float>
std::int32_t first_equal(const Float* row, std::int32_t num_classes, Float wanted) {
    const std::int32_t num_whole = num_classes - num_classes % Lanes<Float>::kCount;
    for (std::int32_t begin = 0; begin < num_whole; begin += kBlock) {
        const std::uint32_t bits =
            bits_where(row + begin, std::min(kBlock, num_whole - begin),
                       [wanted](const auto& values) { return values == wanted; });
        if (bits != 0) return begin + __builtin_ctz(bits);
    }
    std::int32_t c = num_whole;
    while (row[c] != wanted) ++c;
    return c;
}

// Calls visit(c) for each value that is at least `threshold`, in order.
template <class Float, class Visit>
void for_each_at_least(const Float* row, std::int32_t num_classes, Float threshold,
                       const Visit& visit) {
    const std::int32_t num_whole = num_classes - num_classes % Lanes<Float>::kCount;
    for (std::int32_t begin = 0; begin < num_whole; begin += kBlock) {
        std::uint32_t bits =
            bits_where(row + begin, std::min(kBlock, num_whole - begin),
                       [threshold](const auto& values) { return values >= threshold; });
        for (; bits != 0; bits &= bits - 1) visit(begin + __builtin_ctz(bits));
    }
    for (std::int32_t c = num_whole; c < num_classes; ++c) {
        if (row[c] >= threshold) visit(c);
    }
}

}  // namespace asr
