#include "prefix_search.hpp"

#include <algorithm>
#include <cmath>
#include <queue>
#include <vector>

#include "alignment.hpp"
#include "greedy.hpp"
#include "log_math.hpp"

namespace asr {

namespace {

// What is less than that part of the best path's probability is taken for nothing.
constexpr double kNegligible = 1e-300;
// ln of how many times the best path's probability all paths together may have.
constexpr double kLargestLogMass = 600.0;

// Probabilities of all frames, each divided by its largest, one row per class.
// Every factor is at most 1 and the best path's product is exactly 1.
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

  private:
    void set_rest(const std::vector<double>& log_sum) {
        for (const double value : log_sum) log_rest_scale_ += value;
        double log_rest = log_rest_scale_;
        for (std::size_t t = 0; t <= num_frames_; ++t) {
            // Never negligible: an estimate that is too high keeps the search exact.
            rest_[t] = std::max(kNegligible, std::exp(log_rest - log_rest_scale_));
            if (t < num_frames_) log_rest -= log_sum[t];
        }
    }

    std::size_t num_frames_;
    std::vector<double> values_;
    std::vector<double> rest_;
    double log_rest_scale_ = 0.0;
};

// Masses of one prefix: of the paths that end in blank and in its last token, after each number of
// frames from `begin` on; before and after these they are nothing, so that a prefix costs what the
// frames around its end cost however long the utterance is.
struct Masses {
    std::size_t begin = 0;
    std::vector<double> blank;
    std::vector<double> label;

    std::size_t end() const { return begin + blank.size(); }
    double whole(std::size_t num_frames) const {
        return end() == num_frames + 1 ? blank.back() + label.back() : 0.0;
    }
    // The masses after `num_frames`, one more than at the last call.
    void add(std::size_t num_frames, double blank_mass, double label_mass) {
        const bool is_negligible = blank_mass + label_mass < kNegligible;
        if (blank.empty() && is_negligible) return;
        if (blank.empty()) begin = num_frames;
        blank.push_back(is_negligible ? 0.0 : blank_mass);
        label.push_back(is_negligible ? 0.0 : label_mass);
    }
    bool has_ended() const { return !blank.empty() && blank.back() + label.back() == 0.0; }
};

Masses empty_prefix(const ScaledFrames& frames, std::int32_t blank) {
    Masses masses;
    masses.add(0, 1.0, 0.0);
    for (std::size_t t = 0; t < frames.num_frames() && !masses.has_ended(); ++t) {
        masses.add(t + 1, masses.blank.back() * frames.of_class(blank)[t], 0.0);
    }
    return masses;
}

Masses extend(const ScaledFrames& frames, std::int32_t blank, const Masses& prefix,
              std::int32_t last, std::int32_t token) {
    const double* p_token = frames.of_class(token);
    const double* p_blank = frames.of_class(blank);
    const double from_label = token == last ? 0.0 : 1.0;
    Masses masses;
    double in_blank = 0.0;
    double in_label = 0.0;
    for (std::size_t t = prefix.begin; t < frames.num_frames(); ++t) {
        double arriving = 0.0;
        if (t < prefix.end()) {
            arriving = prefix.blank[t - prefix.begin] + from_label * prefix.label[t - prefix.begin];
        } else if (masses.blank.empty() || masses.has_ended()) {
            break;
        }
        const double before = in_blank + in_label;
        in_label = p_token[t] * (arriving + in_label);
        in_blank = p_blank[t] * before;
        masses.add(t + 1, in_blank, in_label);
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
    return std::log(masses.whole(frames.num_frames()));
}

// Best-first search of one section.
class SectionSearch {
  public:
    SectionSearch(const ScaledFrames& frames, std::int32_t blank, std::int32_t num_classes,
                  Labelling incumbent)
        : frames_(frames), blank_(blank), num_classes_(num_classes), best_(std::move(incumbent)) {}

    // Uses up `budget`; false when it ran out before the best labelling was proven.
    bool run(std::int64_t& budget) {
        // Sums of so many paths overflow, and no budget would prove anything about them.
        if (frames_.log_rest_scale() > kLargestLogMass) return false;
        best_mass_ = log_labelling_mass(frames_, blank_, best_);
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
        const double mass = std::log(visited_.back().masses.whole(frames_.num_frames()));
        if (mass > best_mass_) {
            best_mass_ = mass;
            best_ = labelling_of(id);
        }
        open_children(id);
    }

    void open_children(std::int32_t id) {
        const Visited& prefix = visited_[static_cast<std::size_t>(id)];
        const Masses& masses = prefix.masses;
        const std::size_t begin = masses.begin;
        const std::size_t count = std::min(masses.end(), frames_.num_frames()) - begin;
        std::vector<double> after_any(count);
        std::vector<double> after_blank(count);
        for (std::size_t k = 0; k < count; ++k) {
            const double rest = frames_.rest()[begin + k + 1];
            after_blank[k] = masses.blank[k] * rest;
            after_any[k] = after_blank[k] + masses.label[k] * rest;
        }
        for (std::int32_t token = 0; token < num_classes_; ++token) {
            if (token == blank_) continue;
            const auto& from = token == prefix.token ? after_blank : after_any;
            const double* p_token = frames_.of_class(token) + begin;
            double mass = 0.0;
            for (std::size_t k = 0; k < count; ++k) mass += p_token[k] * from[k];
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

    const auto describe = [&](double width) {
        const Alignment<Float> alignment(frames, blank, labelling, width);
        Hypothesis hypothesis;
        hypothesis.score = hypothesis.acoustic_score = alignment.log_mass();
        if (hypothesis.score > kLogZero) hypothesis.emissions = alignment.emissions();
        return hypothesis;
    };
    constexpr double kWidth = 700.0;
    Hypothesis hypothesis = describe(kWidth);
    if (hypothesis.score == kLogZero) hypothesis = describe(-kLogZero);
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
