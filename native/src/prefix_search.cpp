#include "prefix_search.hpp"

#include <algorithm>
#include <cmath>
#include <queue>
#include <vector>

#include "greedy.hpp"
#include "log_math.hpp"

namespace asr {

namespace {

using Labelling = std::vector<std::int32_t>;

// Probabilities of all frames, each divided by its largest, one row per class.
// Every factor is at most 1 and the best path's product is exactly 1, so that what underflows is
// below 1e-300 of the best path and cannot matter.
class ScaledFrames {
  public:
    template <class Float>
    explicit ScaledFrames(const Frames<Float>& frames)
        : num_frames_(static_cast<std::size_t>(frames.num_frames)),
          values_(num_frames_ * static_cast<std::size_t>(frames.num_classes)),
          rest_(num_frames_ + 1) {
        std::vector<double> log_sum(num_frames_);
        for (std::size_t t = 0; t < num_frames_; ++t) {
            const Float* row = frames.row(static_cast<std::int32_t>(t));
            const double best = *std::max_element(row, row + frames.num_classes);
            double sum = 0.0;
            for (std::int32_t c = 0; c < frames.num_classes; ++c) {
                const double scaled = std::exp(row[c] - best);
                values_[static_cast<std::size_t>(c) * num_frames_ + t] = scaled;
                sum += scaled;
            }
            log_sum[t] = std::log(sum);
            log_scale_ += best;
        }
        set_rest(log_sum);
    }

    std::size_t num_frames() const { return num_frames_; }
    const double* of_class(std::int32_t c) const {
        return values_.data() + static_cast<std::size_t>(c) * num_frames_;
    }
    // rest(t) exp(log_rest_scale) is the probability of everything that may follow frame t - 1.
    const double* rest() const { return rest_.data(); }
    double log_rest_scale() const { return log_rest_scale_; }
    double log_scale() const { return log_scale_; }

  private:
    void set_rest(const std::vector<double>& log_sum) {
        for (const double value : log_sum) log_rest_scale_ += value;
        double log_rest = log_rest_scale_;
        for (std::size_t t = 0; t <= num_frames_; ++t) {
            // Never below 1e-300: an estimate that is too high keeps the search exact.
            rest_[t] = std::max(1e-300, std::exp(log_rest - log_rest_scale_));
            if (t < num_frames_) log_rest -= log_sum[t];
        }
    }

    std::size_t num_frames_;
    std::vector<double> values_;
    std::vector<double> rest_;
    double log_rest_scale_ = 0.0;
    double log_scale_ = 0.0;
};

// Masses of one prefix after 0..T frames: of the paths that end in blank and in its last token.
struct Masses {
    std::vector<double> blank;
    std::vector<double> label;

    double whole() const { return blank.back() + label.back(); }
};

Masses empty_prefix(const ScaledFrames& frames, std::int32_t blank) {
    Masses masses{{1.0}, {0.0}};
    for (std::size_t t = 0; t < frames.num_frames(); ++t) {
        masses.blank.push_back(masses.blank.back() * frames.of_class(blank)[t]);
        masses.label.push_back(0.0);
    }
    return masses;
}

Masses extend(const ScaledFrames& frames, std::int32_t blank, const Masses& prefix,
              std::int32_t last, std::int32_t token) {
    const std::size_t num_frames = frames.num_frames();
    const double* p_token = frames.of_class(token);
    const double* p_blank = frames.of_class(blank);
    const double from_label = token == last ? 0.0 : 1.0;
    Masses masses{std::vector<double>(num_frames + 1), std::vector<double>(num_frames + 1)};
    for (std::size_t t = 0; t < num_frames; ++t) {
        const double arriving = prefix.blank[t] + from_label * prefix.label[t];
        masses.label[t + 1] = p_token[t] * (arriving + masses.label[t]);
        masses.blank[t + 1] = p_blank[t] * (masses.blank[t] + masses.label[t]);
    }
    return masses;
}

double log_labelling_mass(const ScaledFrames& frames, std::int32_t blank,
                          const Labelling& labelling) {
    Masses masses = empty_prefix(frames, blank);
    std::int32_t last = blank;
    for (const std::int32_t token : labelling) {
        masses = extend(frames, blank, masses, last, token);
        last = token;
    }
    return std::log(masses.whole());
}

// Best-first search of one section.
class SectionSearch {
  public:
    SectionSearch(const ScaledFrames& frames, std::int32_t blank, std::int32_t num_classes,
                  Labelling incumbent)
        : frames_(frames), blank_(blank), num_classes_(num_classes), best_(std::move(incumbent)) {
        best_mass_ = log_labelling_mass(frames, blank, best_);
    }

    // Uses up `budget`; false when it ran out before the best labelling was proven.
    bool run(std::int64_t& budget) {
        visit({0.0, -1, blank_});
        while (!open_.empty() && open_.top().bound > best_mass_) {
            if (budget-- <= 0) return false;
            const Open next = open_.top();
            open_.pop();
            visit(next);
        }
        return true;
    }

    const Labelling& best() const { return best_; }

  private:
    struct Open {
        double bound;  // ln of the mass of all labellings that begin with this prefix
        std::int32_t parent;
        std::int32_t token;
        bool operator<(const Open& other) const { return bound < other.bound; }
    };
    struct Visited {
        std::int32_t parent;
        std::int32_t token;
        Masses masses;
    };

    void visit(const Open& open) {
        const auto id = static_cast<std::int32_t>(visited_.size());
        if (open.parent < 0) {
            visited_.push_back({-1, blank_, empty_prefix(frames_, blank_)});
        } else {
            const Visited& parent = visited_[static_cast<std::size_t>(open.parent)];
            Masses masses = extend(frames_, blank_, parent.masses, parent.token, open.token);
            visited_.push_back({open.parent, open.token, std::move(masses)});
        }
        const double mass = std::log(visited_.back().masses.whole());
        if (mass > best_mass_) {
            best_mass_ = mass;
            best_ = labelling_of(id);
        }
        open_children(id);
    }

    void open_children(std::int32_t id) {
        const Visited& prefix = visited_[static_cast<std::size_t>(id)];
        const std::size_t num_frames = frames_.num_frames();
        std::vector<double> after_any(num_frames);
        std::vector<double> after_blank(num_frames);
        for (std::size_t t = 0; t < num_frames; ++t) {
            after_blank[t] = prefix.masses.blank[t] * frames_.rest()[t + 1];
            after_any[t] = after_blank[t] + prefix.masses.label[t] * frames_.rest()[t + 1];
        }
        for (std::int32_t token = 0; token < num_classes_; ++token) {
            if (token == blank_) continue;
            const auto& from = token == prefix.token ? after_blank : after_any;
            const double* p_token = frames_.of_class(token);
            double mass = 0.0;
            for (std::size_t t = 0; t < num_frames; ++t) mass += p_token[t] * from[t];
            const double bound = std::log(mass) + frames_.log_rest_scale();
            if (bound > best_mass_) open_.push({bound, id, token});
        }
    }

    Labelling labelling_of(std::int32_t id) const {
        Labelling labelling;
        for (; visited_[static_cast<std::size_t>(id)].parent >= 0;
             id = visited_[static_cast<std::size_t>(id)].parent) {
            labelling.push_back(visited_[static_cast<std::size_t>(id)].token);
        }
        std::reverse(labelling.begin(), labelling.end());
        return labelling;
    }

    const ScaledFrames& frames_;
    std::int32_t blank_;
    std::int32_t num_classes_;
    Labelling best_;
    double best_mass_ = kLogZero;
    std::vector<Visited> visited_;
    std::priority_queue<Open> open_;
};

// Viterbi alignment of a labelling of positive probability: the frame of each token's spike.
template <class Float>
std::vector<Emission> place_tokens(const Frames<Float>& frames, std::int32_t blank,
                                   const Labelling& labelling) {
    const std::size_t num_states = 2 * labelling.size() + 1;  // blank, token, blank, ..., blank
    const auto num_frames = static_cast<std::size_t>(frames.num_frames);
    const auto class_of = [&](std::size_t s) { return s % 2 ? labelling[s / 2] : blank; };
    std::vector<double> best(num_states, kLogZero);
    std::vector<unsigned char> steps(num_frames * num_states);
    for (std::size_t t = 0; t < num_frames; ++t) {
        const Float* row = frames.row(static_cast<std::int32_t>(t));
        for (std::size_t s = num_states; s-- > 0;) {
            unsigned char step = 0;
            double from = t == 0 ? (s < 2 ? 0.0 : kLogZero) : best[s];
            if (t > 0 && s >= 1 && best[s - 1] > from) from = best[s - 1], step = 1;
            const bool may_skip = s >= 3 && s % 2 && class_of(s) != class_of(s - 2);
            if (t > 0 && may_skip && best[s - 2] > from) from = best[s - 2], step = 2;
            best[s] = from + row[class_of(s)];
            steps[t * num_states + s] = step;
        }
    }
    std::vector<Emission> emissions;
    for (const std::int32_t token : labelling) {
        emissions.push_back({token, 0, static_cast<float>(kLogZero)});
    }
    std::size_t s = num_states - 1;
    if (num_states > 1 && best[num_states - 2] > best[s]) s = num_states - 2;
    for (std::size_t t = num_frames; t-- > 0;) {
        if (s % 2) {
            Emission& emission = emissions[s / 2];
            const auto frame = static_cast<std::int32_t>(t);
            const auto log_prob = static_cast<float>(frames.row(frame)[emission.token]);
            if (log_prob >= emission.log_prob) emission = {emission.token, frame, log_prob};
        }
        s -= steps[t * num_states + s];
    }
    return emissions;
}

Labelling labelling_of(const Hypothesis& hypothesis) {
    Labelling labelling;
    for (const auto& emission : hypothesis.emissions) labelling.push_back(emission.token);
    return labelling;
}

template <class Float>
Frames<Float> section_of(const Frames<Float>& frames, std::int32_t begin, std::int32_t end) {
    return {frames.row(begin), frames.row_stride, end - begin, frames.num_classes};
}

}  // namespace

template <class Float>
Hypothesis search_prefixes(const Alphabet& alphabet, const PrefixSearchOptions& options,
                           const Frames<Float>& frames) {
    const std::int32_t blank = alphabet.blank();
    const Hypothesis greedy = decode_greedy(alphabet, frames);  // also checks every frame
    if (greedy.acoustic_score == kLogZero) return greedy;

    const auto splits = [&](std::int32_t t) {
        return frames.row(t)[blank] >= options.section_log_blank;
    };
    Labelling labelling;
    std::int64_t budget = options.max_expansions;
    bool proven = true;
    for (std::int32_t begin = 0; begin < frames.num_frames;) {
        std::int32_t end = begin;
        while (end < frames.num_frames && !splits(end)) ++end;
        if (end > begin) {
            const Frames<Float> section = section_of(frames, begin, end);
            const ScaledFrames scaled(section);
            SectionSearch search(scaled, blank, alphabet.size(),
                                 labelling_of(decode_greedy(alphabet, section)));
            proven &= search.run(budget);
            labelling.insert(labelling.end(), search.best().begin(), search.best().end());
        }
        begin = end + 1;
    }

    const ScaledFrames scaled(frames);
    Hypothesis hypothesis;
    hypothesis.acoustic_score = log_labelling_mass(scaled, blank, labelling) + scaled.log_scale();
    hypothesis.score = hypothesis.acoustic_score;
    hypothesis.emissions = place_tokens(frames, blank, labelling);
    hypothesis.words = split_words(alphabet, hypothesis.emissions);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.bound_hit = !proven;
    return hypothesis;
}

template Hypothesis search_prefixes(const Alphabet&, const PrefixSearchOptions&,
                                    const Frames<float>&);
template Hypothesis search_prefixes(const Alphabet&, const PrefixSearchOptions&,
                                    const Frames<double>&);

}  // namespace asr
