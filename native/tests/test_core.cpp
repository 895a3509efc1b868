// What Python cannot see: the core under sanitizers, and that dropping garbage changes nothing.
// Exits 0 when all holds. Built by -DASR_BUILD_TESTS=ON, with -DASR_SANITIZE=ON for ASan and UBSan.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "alignment.hpp"
#include "batch.hpp"
#include "beam_search.hpp"
#include "greedy.hpp"
#include "prefix_search.hpp"

namespace {

using namespace asr;

void check(bool holds, const char* what, int line) {
    if (holds) return;
    std::fprintf(stderr, "test_core.cpp:%d: %s\n", line, what);
    std::exit(1);
}
#define CHECK(condition) check(condition, #condition, __LINE__)

const std::vector<std::string> kTokens{"<blank>", "a", "b", " ",
                                       "\xE2\x96\x81"
                                       "c"};

const char* const kArpa =
    "\\data\\\nngram 1=5\nngram 2=2\nngram 3=1\n\n\\1-grams:\n-99\t<s>\t-0.5\n-1\t</s>\n-2\t<unk>\n"
    "-0.3\ta\t-0.2\n-0.4\tab\t-0.1\n\n\\2-grams:\n-0.1\t<s> a\t-0.3\n-0.4\ta ab\t0\n\n"
    "\\3-grams:\n-0.2\t<s> a ab\n\n\\end\\\n";

struct Emissions {
    std::vector<float> values;
    Frames<float> frames;
};

Emissions random_emissions(std::mt19937& random, int num_frames, double sharpness) {
    const auto num_classes = static_cast<int>(kTokens.size());
    std::normal_distribution<double> normal(0.0, sharpness);
    Emissions emissions;
    for (int t = 0; t < num_frames; ++t) {
        std::vector<double> logits;
        double total = kLogZero;
        for (int c = 0; c < num_classes; ++c) {
            logits.push_back(normal(random));
            total = log_add(total, logits.back());
        }
        for (const double logit : logits) {
            emissions.values.push_back(static_cast<float>(logit - total));
        }
    }
    emissions.frames = {emissions.values.data(), num_classes, num_frames, num_classes};
    return emissions;
}

std::shared_ptr<const Language> make_language(bool full) {
    LanguageParts parts;
    parts.alphabet = std::make_shared<Alphabet>(kTokens, 0);
    if (full) {
        const auto lm = std::make_shared<NGramModel>(read_arpa(kArpa, "test"));
        parts.lm = lm;
        parts.lm_alpha = 0.7;
        parts.lm_beta = 0.3;
        parts.hotwords =
            std::make_shared<Hotwords>(std::vector<std::string>{"a ab", "b", "ca b"}, 1.5);
    }
    return std::make_shared<Language>(parts);
}

void test_log_add() {
    for (double gap = 0.0; gap < 60.0; gap += 0.0037) {
        CHECK(std::fabs(log_add(-3.0 - gap, -3.0) - (-3.0 + std::log1p(std::exp(-gap)))) < 1e-12);
    }
    CHECK(log_add(kLogZero, kLogZero) == kLogZero);
    CHECK(log_add(kLogZero, -1.0) == -1.0);
    CHECK(log_add(-1.0, kLogZero) == -1.0);
}

// A search that collects after every frame gives what one that never does gives.
void test_garbage_collection_changes_nothing() {
    std::mt19937 random(1);
    for (int trial = 0; trial < 40; ++trial) {
        const auto language = make_language(trial % 2 == 1);
        const Emissions emissions = random_emissions(random, 120, 1.0 + trial % 5);
        BeamOptions options{8, 4, -20.0, -20.0, trial % 3 == 0 ? 30 : 0, -kLogZero, 0, 1 << 30};
        if (trial % 3 == 1) options.n_best = 1;
        if (trial % 5 == 0) options.token_top_n = 3;
        if (trial % 4 < 2) options.blank_skip_logp = -0.5;
        BeamSearch keeping(language, options);
        options.garbage_limit = 0;
        BeamSearch collecting(language, options);
        keeping.push(emissions.frames);
        for (int t = 0; t < emissions.frames.num_frames; ++t) {
            Frames<float> frame = emissions.frames;
            frame.data = emissions.frames.row(t);
            frame.num_frames = 1;
            collecting.push(frame);
            collecting.partial();
        }
        const auto expected = keeping.hypotheses();
        const auto actual = collecting.hypotheses();
        CHECK(actual.size() == expected.size());
        for (std::size_t i = 0; i < actual.size(); ++i) {
            CHECK(actual[i].text == expected[i].text);
            CHECK(actual[i].score == expected[i].score);
            CHECK(actual[i].emissions.size() == expected[i].emissions.size());
            for (std::size_t k = 0; k < actual[i].emissions.size(); ++k) {
                CHECK(actual[i].emissions[k].frame == expected[i].emissions[k].frame);
            }
        }
    }
}

void test_searches_agree() {
    std::mt19937 random(2);
    const Alphabet alphabet(kTokens, 0);
    for (int trial = 0; trial < 30; ++trial) {
        const Emissions emissions = random_emissions(random, 8, 2.0);
        BeamSearch beam(make_language(false), {100000, 1, kLogZero, kLogZero});
        beam.push(emissions.frames);
        const Hypothesis prefix = search_prefixes(alphabet, {1000000, 1.0}, emissions.frames);
        CHECK(std::fabs(beam.hypotheses()[0].score - prefix.score) < 1e-5);
        CHECK(decode_greedy(alphabet, emissions.frames).score <= prefix.score + 1e-6);
    }
}

// States far behind are not missed, and when all others die the whole lattice still has the answer.
void test_alignment_in_a_band() {
    std::mt19937 random(5);
    for (int trial = 0; trial < 20; ++trial) {
        const Emissions emissions = random_emissions(random, 200, 4.0);
        Labelling labelling;
        for (const auto& e : decode_greedy(Alphabet(kTokens, 0), emissions.frames).emissions) {
            labelling.push_back(e.token);
        }
        const Alignment<float> band(emissions.frames, 0, labelling, 100.0);
        const Alignment<float> whole(emissions.frames, 0, labelling, -kLogZero);
        CHECK(std::fabs(band.log_mass() - whole.log_mass()) < 1e-9);
        const auto actual = band.emissions();
        const auto expected = whole.emissions();
        for (std::size_t i = 0; i < labelling.size(); ++i) {
            CHECK(actual[i].frame == expected[i].frame);
        }
    }
    const auto none = static_cast<float>(kLogZero);
    const std::vector<float> values{0.0F, -8.0F, none, none, none, 0.0F, none, none, none, none};
    const Frames<float> frames{values.data(), 5, 2, 5};
    CHECK(Alignment<float>(frames, 0, {1}, 5.0).log_mass() == kLogZero);
    CHECK(Alignment<float>(frames, 0, {1}, -kLogZero).log_mass() == -8.0);
}

// Every cut and many changes of an ARPA text are read or refused, never more.
void test_damaged_arpa() {
    const std::string whole = kArpa;
    std::mt19937 random(3);
    for (std::size_t length = 0; length < whole.size(); ++length) {
        try {
            read_arpa(std::string_view(whole).substr(0, length), "cut");
        } catch (const std::invalid_argument&) {
        }
    }
    for (int trial = 0; trial < 3000; ++trial) {
        std::string damaged = whole;
        for (int k = 0; k < 3; ++k)
            damaged[random() % whole.size()] = whole[random() % whole.size()];
        try {
            const NGramModel model = read_arpa(damaged, "damaged");
            model.score(model.sentence_start(), model.find("a"));
        } catch (const std::invalid_argument&) {
        }
    }
}

// The same for the compiled form, decoding with what is read.
void test_damaged_binary(const std::string& folder) {
    const std::string whole = to_binary(read_arpa(kArpa, "test"));
    const std::string path = folder + "/damaged.bin";
    std::mt19937 random(4);
    for (int trial = 0; trial < 1000; ++trial) {
        std::string damaged = whole;
        for (int k = 0; k < 1 + trial % 20; ++k) {
            damaged[(trial % 3 ? 88 : 0) + random() % (whole.size() - 88)] =
                static_cast<char>(random());
        }
        std::ofstream(path, std::ios::binary) << damaged;
        try {
            LanguageParts parts;
            parts.alphabet = std::make_shared<Alphabet>(kTokens, 0);
            const auto lm = std::make_shared<NGramModel>(load_binary(path));
            for (WordId word = 0; word < lm->num_words() + 3; ++word) lm->text(word);
            parts.lm = lm;
            parts.lm_alpha = 1.0;
            const Emissions emissions = random_emissions(random, 20, 2.0);
            BeamSearch search(std::make_shared<Language>(parts), {8, 2, -20.0, -20.0});
            search.push(emissions.frames);
            search.hypotheses();
        } catch (const std::invalid_argument&) {
        }
    }
    std::remove(path.c_str());
}

// Every utterance is worked on once; what fails is rethrown by the thread that asked, never lost.
void test_batch() {
    std::vector<int> visits(100);
    for_each_utterance(100, 4, [&] { return [&](std::int64_t i) { ++visits[i]; }; });
    CHECK(visits == std::vector<int>(100, 1));
    for_each_utterance(0, 4, [&] { return [&](std::int64_t) { CHECK(false); }; });
    std::string error;
    try {
        for_each_utterance(100, 4, [] {
            return [](std::int64_t i) {
                if (i % 30 == 7) throw std::invalid_argument(std::to_string(i));
            };
        });
    } catch (const std::invalid_argument& thrown) {
        error = thrown.what();
    }
    CHECK(error == "7");
    bool out_of_memory = false;
    try {
        for_each_utterance(100, 4, [&] {
            if (true) throw std::bad_alloc();
            return [](std::int64_t) {};
        });
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    CHECK(out_of_memory);
}

void test_edges() {
    BeamSearch search(make_language(true), {1, 5, -5.0, -10.0});
    CHECK(search.hypotheses()[0].text.empty());
    const std::vector<float> impossible(kTokens.size(), static_cast<float>(kLogZero));
    search.push(Frames<float>{impossible.data(), 5, 1, 5});
    CHECK(search.hypotheses()[0].score == kLogZero);
    CHECK(search.partial().num_stable_words == 0);
    bool refused = false;
    const std::vector<float> nan(kTokens.size(), std::nanf(""));
    try {
        search.push(Frames<float>{nan.data(), 5, 1, 5});
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
}

}  // namespace

int main(int argc, char** argv) {
    test_log_add();
    test_garbage_collection_changes_nothing();
    test_searches_agree();
    test_alignment_in_a_band();
    test_damaged_arpa();
    test_damaged_binary(argc > 1 ? argv[1] : ".");
    test_batch();
    test_edges();
    std::puts("native tests passed");
}
