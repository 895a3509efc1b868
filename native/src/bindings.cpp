// The only file that knows Python. Validation of arrays is done by asr/decoding/frames.py; here
// arguments are typed, the interpreter lock is released, and results become plain tuples.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "alphabet.hpp"
#include "batch.hpp"
#include "beam_search.hpp"
#include "greedy.hpp"
#include "language.hpp"
#include "ngram.hpp"
#include "prefix_search.hpp"
#include "utterance_search.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class Float>
using LogProbs = nb::ndarray<const Float, nb::ndim<3>, nb::device::cpu>;
using Lengths = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AlphabetPtr = std::shared_ptr<asr::Alphabet>;
using ModelPtr = std::shared_ptr<asr::NGramModel>;
using LexiconPtr = std::shared_ptr<asr::Lexicon>;
using HotwordsPtr = std::shared_ptr<asr::Hotwords>;
using GrammarPtr = std::shared_ptr<asr::Grammar>;
using Results = std::vector<std::vector<asr::Hypothesis>>;

template <class Float>
asr::Frames<Float> frames_of(const LogProbs<Float>& log_probs, const Lengths& lengths,
                             std::int64_t utterance) {
    asr::Frames<Float> frames{};
    frames.data = log_probs.data() + utterance * log_probs.stride(0);
    frames.row_stride = log_probs.stride(1);
    frames.num_frames = static_cast<std::int32_t>(lengths.data()[utterance]);
    frames.num_classes = static_cast<std::int32_t>(log_probs.shape(2));
    frames.utterance = utterance;
    return frames;
}

nb::tuple to_python(const asr::Hypothesis& hypothesis) {
    nb::list tokens;
    nb::list token_frames;
    for (const auto& emission : hypothesis.emissions) {
        tokens.append(emission.token);
        token_frames.append(emission.frame);
    }
    nb::list words;
    for (const auto& word : hypothesis.words) {
        words.append(nb::make_tuple(word.text, word.start_frame, word.end_frame, word.confidence));
    }
    return nb::make_tuple(hypothesis.text, tokens, hypothesis.score, hypothesis.acoustic_score,
                          hypothesis.lm_score, words, token_frames, hypothesis.bound_hit);
}

nb::list to_python(const Results& results) {
    nb::list batch;
    for (const auto& hypotheses : results) {
        nb::list utterance;
        for (const auto& hypothesis : hypotheses) utterance.append(to_python(hypothesis));
        batch.append(utterance);
    }
    return batch;
}

// make_worker() -> a function of one utterance's frames.
template <class Float, class MakeWorker>
nb::list decode_batch(const LogProbs<Float>& log_probs, const Lengths& lengths, int num_threads,
                      const MakeWorker& make_worker) {
    Results results(log_probs.shape(0));
    {
        const nb::gil_scoped_release unlocked;
        asr::for_each_utterance(static_cast<std::int64_t>(results.size()), num_threads, [&] {
            return [&, decode = make_worker()](std::int64_t i) mutable {
                results[static_cast<std::size_t>(i)] = decode(frames_of(log_probs, lengths, i));
            };
        });
    }
    return to_python(results);
}

struct GreedyDecoder {
    AlphabetPtr alphabet;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths) const {
        return decode_batch(log_probs, lengths, 1, [this] {
            return [this](const asr::Frames<Float>& frames) {
                return std::vector{asr::decode_greedy(*alphabet, frames)};
            };
        });
    }
};

struct PrefixSearchDecoder {
    AlphabetPtr alphabet;
    asr::PrefixSearchOptions options;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths,
                    int num_threads) const {
        return decode_batch(log_probs, lengths, num_threads, [this] {
            return [this](const asr::Frames<Float>& frames) {
                return std::vector{asr::search_prefixes(*alphabet, options, frames)};
            };
        });
    }
};

struct BeamSearchDecoder {
    std::shared_ptr<const asr::Language> language;
    asr::BeamOptions options;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths,
                    int num_threads) const {
        return decode_batch(log_probs, lengths, num_threads, [this] {
            return [this, search = asr::BeamSearch(language, options)](
                       const asr::Frames<Float>& frames) mutable {
                return asr::search_utterance(search, language, options, frames);
            };
        });
    }
};

// One utterance that arrives in pieces. Not for use by two threads at once.
class BeamSearchStream {
  public:
    explicit BeamSearchStream(const BeamSearchDecoder& decoder)
        : search_(decoder.language, decoder.options) {}

    template <class Float>
    void push(const LogProbs<Float>& log_probs, const Lengths& lengths) {
        asr::Frames<Float> frames = frames_of(log_probs, lengths, 0);
        frames.first_frame = search_.num_frames();
        const nb::gil_scoped_release unlocked;
        search_.push(frames);
    }
    nb::tuple partial() const {
        const asr::PartialResult result = search_.partial();
        return nb::make_tuple(to_python(result.best), result.num_stable_words);
    }
    nb::list hypotheses() const { return to_python(Results{search_.hypotheses()})[0]; }

  private:
    asr::BeamSearch search_;
};

double score_words(const asr::NGramModel& model, const std::vector<std::string>& words, bool bos,
                   bool eos) {
    asr::NodeId state = bos ? model.sentence_start() : model.no_context();
    double total = 0.0;
    for (const auto& word : words) {
        const auto [log_prob, next] = model.score(state, model.find(word));
        total += log_prob;
        state = next;
    }
    return eos ? total + model.score_end(state) : total;
}

void bind_decoders(nb::module_& m) {
    nb::class_<asr::Alphabet>(m, "Alphabet")
        .def(nb::init<const std::vector<std::string>&, std::int64_t>(), "tokens"_a, "blank"_a);
    nb::class_<GreedyDecoder>(m, "GreedyDecoder")
        .def("__init__",
             [](GreedyDecoder* self, AlphabetPtr alphabet) {
                 new (self) GreedyDecoder{std::move(alphabet)};
             })
        .def("decode", &GreedyDecoder::decode<float>, nb::arg().noconvert(), nb::arg())
        .def("decode", &GreedyDecoder::decode<double>, nb::arg().noconvert(), nb::arg());
    nb::class_<PrefixSearchDecoder>(m, "PrefixSearchDecoder")
        .def("__init__",
             [](PrefixSearchDecoder* self, AlphabetPtr alphabet, std::int64_t max_expansions,
                double section_log_blank) {
                 new (self)
                     PrefixSearchDecoder{std::move(alphabet), {max_expansions, section_log_blank}};
             })
        .def("decode", &PrefixSearchDecoder::decode<float>, nb::arg().noconvert(), nb::arg(),
             nb::arg())
        .def("decode", &PrefixSearchDecoder::decode<double>, nb::arg().noconvert(), nb::arg(),
             nb::arg());
    nb::class_<BeamSearchDecoder>(m, "BeamSearchDecoder")
        .def(
            "__init__",
            [](BeamSearchDecoder* self, AlphabetPtr alphabet, ModelPtr lm, LexiconPtr lexicon,
               HotwordsPtr hotwords, GrammarPtr grammar, bool lm_scores_tokens, double lm_alpha,
               double lm_beta, double unk_score, std::int32_t beam_width, std::int32_t n_best,
               double token_min_logp, double beam_prune_logp, std::int32_t max_delay) {
                const auto unit = lm_scores_tokens ? asr::LmUnit::kToken : asr::LmUnit::kWord;
                new (self) BeamSearchDecoder{
                    std::make_shared<asr::Language>(asr::LanguageParts{
                        std::move(alphabet), std::move(lm), std::move(lexicon), std::move(hotwords),
                        std::move(grammar), unit, lm_alpha, lm_beta, unk_score}),
                    {beam_width, n_best, token_min_logp, beam_prune_logp, max_delay}};
            },
            "alphabet"_a, "lm"_a.none(), "lexicon"_a.none(), "hotwords"_a.none(),
            "grammar"_a.none(), "lm_scores_tokens"_a, "lm_alpha"_a, "lm_beta"_a, "unk_score"_a,
            "beam_width"_a, "n_best"_a, "token_min_logp"_a, "beam_prune_logp"_a, "max_delay"_a)
        .def("decode", &BeamSearchDecoder::decode<float>, nb::arg().noconvert(), nb::arg(),
             nb::arg())
        .def("decode", &BeamSearchDecoder::decode<double>, nb::arg().noconvert(), nb::arg(),
             nb::arg());
    nb::class_<BeamSearchStream>(m, "BeamSearchStream")
        .def(nb::init<const BeamSearchDecoder&>())
        .def("push", &BeamSearchStream::push<float>, nb::arg().noconvert(), nb::arg())
        .def("push", &BeamSearchStream::push<double>, nb::arg().noconvert(), nb::arg())
        .def("partial", &BeamSearchStream::partial)
        .def("hypotheses", &BeamSearchStream::hypotheses);
}

void bind_language(nb::module_& m) {
    nb::class_<asr::NGramModel>(m, "NGramModel")
        .def_static(
            "from_arpa",
            [](const nb::bytes& text, const std::string& name) {
                const std::string_view view(text.c_str(), text.size());
                const nb::gil_scoped_release unlocked;
                return std::make_shared<asr::NGramModel>(asr::read_arpa(view, name));
            },
            "text"_a, "name"_a)
        .def_static(
            "from_binary",
            [](const std::string& path) {
                return std::make_shared<asr::NGramModel>(asr::load_binary(path));
            },
            "path"_a)
        .def("to_binary",
             [](const asr::NGramModel& model) {
                 const std::string bytes = asr::to_binary(model);
                 return nb::bytes(bytes.data(), bytes.size());
             })
        .def_prop_ro("order", &asr::NGramModel::order)
        .def_prop_ro("num_words", &asr::NGramModel::num_words)
        .def("word",
             [](const asr::NGramModel& model, asr::WordId id) {
                 const std::string_view text = model.text(id);
                 return nb::str(text.data(), text.size());
             })
        .def("score_words", &score_words, "words"_a, "bos"_a, "eos"_a);
    nb::class_<asr::Lexicon>(m, "Lexicon")
        .def(
            "__init__",
            [](asr::Lexicon* self, const std::vector<std::pair<std::string, std::string>>& entries,
               const ModelPtr& lm) { new (self) asr::Lexicon(entries, lm.get()); },
            "entries"_a, "lm"_a.none());
    nb::class_<asr::Hotwords>(m, "Hotwords")
        .def(nb::init<const std::vector<std::string>&, double>(), "phrases"_a, "weight"_a);
    nb::class_<asr::Grammar>(m, "Grammar")
        .def(
            "__init__",
            [](asr::Grammar* self, std::int32_t num_states,
               const std::vector<std::tuple<std::int32_t, std::uint8_t, std::int32_t>>& arcs,
               const std::vector<bool>& accepting) {
                std::vector<asr::Grammar::Arc> native_arcs;
                for (const auto& [from, byte, to] : arcs) native_arcs.push_back({from, byte, to});
                new (self) asr::Grammar(num_states, std::move(native_arcs), accepting);
            },
            "num_states"_a, "arcs"_a, "accepting"_a);
}

}  // namespace

NB_MODULE(_native, m) {
    m.doc() = "Native decoders of asr.";
    bind_language(m);
    bind_decoders(m);
}
