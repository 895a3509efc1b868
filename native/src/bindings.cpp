// The only file that knows Python. Validation of arrays is done by asr/decoding/hypothesis.py; here
// arguments are typed, the interpreter lock is released, and results become hypotheses.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <memory>
#include <stdexcept>
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

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <class Float>
using LogProbs = nb::ndarray<const Float, nb::ndim<3>, nb::device::cpu>;
// Without lengths every utterance has all frames.
using Lengths = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AlphabetPtr = std::shared_ptr<asr::Alphabet>;
using ModelPtr = std::shared_ptr<asr::NGramModel>;
using LexiconPtr = std::shared_ptr<asr::Lexicon>;
using HotwordsPtr = std::shared_ptr<asr::Hotwords>;
using GrammarPtr = std::shared_ptr<asr::Grammar>;

template <class Float>
asr::Frames<Float> frames_of(const LogProbs<Float>& log_probs, const Lengths& lengths,
                             std::int64_t utterance) {
    asr::Frames<Float> frames{};
    frames.data = log_probs.data() + utterance * log_probs.stride(0);
    frames.row_stride = log_probs.stride(1);
    frames.num_frames = static_cast<std::int32_t>(
        lengths.is_valid() ? lengths.data()[utterance]
                           : static_cast<std::int64_t>(log_probs.shape(1)));
    frames.num_classes = static_cast<std::int32_t>(log_probs.shape(2));
    frames.utterance = utterance;
    return frames;
}

// Makes the named tuples that asr/decoding/hypothesis.py defines: built here, they cost a quarter
// of what they would in Python. Calls of Python's stable ABI alone, so that one wheel serves all
// versions from 3.12 on.
class HypothesisFactory {
  public:
    HypothesisFactory(const nb::list& tokens, nb::type_object hypothesis, nb::type_object word)
        : tokens_(tokens), hypothesis_(std::move(hypothesis)), word_(std::move(word)) {
        for (const nb::type_object& type : {hypothesis_, word_}) {
            if (!PyType_IsSubtype(type_of(type), &PyTuple_Type)) {
                throw nb::type_error("hypotheses and words must be named tuples");
            }
        }
    }

    nb::object make(const asr::Hypothesis& hypothesis) const {
        const std::size_t count = hypothesis.emissions.size();
        const nb::object tokens = make_tuple(&PyTuple_Type, count);
        const nb::object ids = make_tuple(&PyTuple_Type, count);
        const nb::object frames = make_tuple(&PyTuple_Type, count);
        for (std::size_t i = 0; i < count; ++i) {
            const asr::Emission& emission = hypothesis.emissions[i];
            // A phone is several tokens of one class: see Alphabet.
            const auto token_class = static_cast<std::size_t>(emission.token) % tokens_.size();
            set(tokens, i, nb::borrow(tokens_[token_class]));
            set(ids, i, nb::int_(token_class));
            set(frames, i, nb::int_(emission.frame));
        }
        const nb::object words = make_tuple(&PyTuple_Type, hypothesis.words.size());
        for (std::size_t i = 0; i < hypothesis.words.size(); ++i) {
            const asr::Word& word = hypothesis.words[i];
            set(words, i,
                make_tuple(type_of(word_), nb::cast(word.text), nb::int_(word.start_frame),
                           nb::int_(word.end_frame), nb::float_(word.confidence)));
        }
        return make_tuple(type_of(hypothesis_), nb::cast(hypothesis.text), tokens,
                          nb::float_(hypothesis.score), nb::float_(hypothesis.acoustic_score),
                          nb::float_(hypothesis.lm_score), words, ids, frames,
                          nb::bool_(hypothesis.bound_hit));
    }

    nb::list make(const std::vector<asr::Hypothesis>& hypotheses) const {
        nb::list made;
        for (const auto& hypothesis : hypotheses) made.append(make(hypothesis));
        return made;
    }

  private:
    static PyTypeObject* type_of(const nb::type_object& type) {
        return reinterpret_cast<PyTypeObject*>(type.ptr());
    }
    static nb::object make_tuple(PyTypeObject* type, std::size_t size) {
        PyObject* made = type == &PyTuple_Type
                             ? PyTuple_New(static_cast<Py_ssize_t>(size))
                             : PyType_GenericAlloc(type, static_cast<Py_ssize_t>(size));
        if (made == nullptr) nb::raise_python_error();
        // What holds only strings, numbers and the like is in no cycle: spare the collector.
        PyObject_GC_UnTrack(made);
        return nb::steal(made);
    }
    static void set(const nb::object& tuple, std::size_t index, nb::object item) {
        if (PyTuple_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(index), item.release().ptr()) !=
            0) {
            nb::raise_python_error();
        }
    }
    template <class... Items>
    static nb::object make_tuple(PyTypeObject* type, const Items&... items) {
        nb::object made = make_tuple(type, sizeof...(items));
        std::size_t index = 0;
        (set(made, index++, items), ...);
        return made;
    }

    nb::list tokens_;
    nb::type_object hypothesis_;
    nb::type_object word_;
};

using FactoryPtr = std::shared_ptr<const HypothesisFactory>;

// make_worker() -> a function of one utterance's frames.
template <class Float, class MakeWorker>
nb::list decode_batch(const LogProbs<Float>& log_probs, const Lengths& lengths, int num_threads,
                      const HypothesisFactory& factory, const MakeWorker& make_worker) {
    std::vector<std::vector<asr::Hypothesis>> results(log_probs.shape(0));
    {
        const nb::gil_scoped_release unlocked;
        asr::for_each_utterance(static_cast<std::int64_t>(results.size()), num_threads, [&] {
            return [&, decode = make_worker()](std::int64_t i) mutable {
                results[static_cast<std::size_t>(i)] = decode(frames_of(log_probs, lengths, i));
            };
        });
    }
    nb::list batch;
    for (const auto& hypotheses : results) batch.append(factory.make(hypotheses));
    return batch;
}

struct GreedyDecoder {
    AlphabetPtr alphabet;
    FactoryPtr factory;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths) const {
        return decode_batch(log_probs, lengths, 1, *factory, [this] {
            return [this](const asr::Frames<Float>& frames) {
                return std::vector{asr::decode_greedy(*alphabet, frames)};
            };
        });
    }
};

struct PrefixSearchDecoder {
    AlphabetPtr alphabet;
    FactoryPtr factory;
    asr::PrefixSearchOptions options;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths,
                    int num_threads) const {
        return decode_batch(log_probs, lengths, num_threads, *factory, [this] {
            return [this](const asr::Frames<Float>& frames) {
                return std::vector{asr::search_prefixes(*alphabet, options, frames)};
            };
        });
    }
};

struct BeamSearchDecoder {
    std::shared_ptr<const asr::Language> language;
    FactoryPtr factory;
    asr::BeamOptions options;

    template <class Float>
    nb::list decode(const LogProbs<Float>& log_probs, const Lengths& lengths,
                    int num_threads) const {
        return decode_batch(log_probs, lengths, num_threads, *factory, [this] {
            return [search = asr::BeamSearch(language, options)](
                       const asr::Frames<Float>& frames) mutable {
                search.start();
                search.push(frames);
                return search.hypotheses();
            };
        });
    }
};

// One utterance that arrives in pieces. A second thread that comes while one is at work is refused:
// the search knows no locks, and which frames are first would be chance.
class BeamSearchStream {
  public:
    explicit BeamSearchStream(const BeamSearchDecoder& decoder)
        : search_(decoder.language, decoder.options), factory_(decoder.factory) {}

    template <class Float>
    void push(const LogProbs<Float>& log_probs) {
        const Turn turn(*this);
        if (state_ == State::kFinished) {
            throw std::invalid_argument(
                "nothing can be pushed after finish(): another stream begins another utterance");
        }
        asr::Frames<Float> frames = frames_of(log_probs, Lengths(), 0);
        frames.first_frame = search_.num_frames();
        const nb::gil_scoped_release unlocked;
        state_ = State::kBroken;  // unless all goes well
        search_.push(frames);
        state_ = State::kOpen;
    }
    nb::tuple partial() {
        const Turn turn(*this);
        const asr::PartialResult result = search_.partial();
        return nb::make_tuple(factory_->make(result.best), result.num_stable_words);
    }
    nb::list finish() {
        const Turn turn(*this);
        state_ = State::kFinished;
        return factory_->make(search_.hypotheses());
    }

  private:
    enum class State { kOpen, kFinished, kBroken };

    class Turn {
      public:
        explicit Turn(BeamSearchStream& stream) : busy_(stream.busy_) {
            if (busy_.exchange(true)) {
                throw std::invalid_argument("another thread is using the stream");
            }
            if (stream.state_ != State::kBroken) return;
            busy_ = false;
            throw std::invalid_argument("an earlier push failed: the stream must be given up");
        }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;
        ~Turn() { busy_ = false; }

      private:
        std::atomic<bool>& busy_;
    };

    asr::BeamSearch search_;
    FactoryPtr factory_;
    State state_ = State::kOpen;
    std::atomic<bool> busy_{false};
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
        .def(nb::init<const std::vector<std::string>&, std::int64_t, std::int32_t>(), "tokens"_a,
             "blank"_a, "num_homophones"_a = 0);
    m.attr("PHONE_END") = std::string(1, asr::kPhoneEnd);
    nb::class_<HypothesisFactory>(m, "HypothesisFactory")
        .def(nb::init<const nb::list&, nb::type_object, nb::type_object>(), "tokens"_a,
             "hypothesis"_a, "word"_a);
    nb::class_<GreedyDecoder>(m, "GreedyDecoder")
        .def("__init__",
             [](GreedyDecoder* self, AlphabetPtr alphabet, FactoryPtr factory) {
                 new (self) GreedyDecoder{std::move(alphabet), std::move(factory)};
             })
        .def("decode", &GreedyDecoder::decode<float>, nb::arg().noconvert(), nb::arg().none())
        .def("decode", &GreedyDecoder::decode<double>, nb::arg().noconvert(), nb::arg().none());
    nb::class_<PrefixSearchDecoder>(m, "PrefixSearchDecoder")
        .def("__init__",
             [](PrefixSearchDecoder* self, AlphabetPtr alphabet, FactoryPtr factory,
                std::int64_t max_expansions, double section_log_blank) {
                 new (self) PrefixSearchDecoder{
                     std::move(alphabet), std::move(factory), {max_expansions, section_log_blank}};
             })
        .def("decode", &PrefixSearchDecoder::decode<float>, nb::arg().noconvert(), nb::arg().none(),
             nb::arg())
        .def("decode", &PrefixSearchDecoder::decode<double>, nb::arg().noconvert(),
             nb::arg().none(), nb::arg());
    nb::class_<BeamSearchDecoder>(m, "BeamSearchDecoder")
        .def(
            "__init__",
            [](BeamSearchDecoder* self, AlphabetPtr alphabet, FactoryPtr factory, ModelPtr lm,
               LexiconPtr lexicon, HotwordsPtr hotwords, GrammarPtr grammar, bool lm_scores_tokens,
               double lm_alpha, double lm_beta, double unk_score, std::int32_t beam_width,
               std::int32_t n_best, double token_min_logp, std::int32_t token_top_n,
               double beam_prune_logp, std::int32_t max_delay, double blank_skip_logp) {
                const auto unit = lm_scores_tokens ? asr::LmUnit::kToken : asr::LmUnit::kWord;
                new (self) BeamSearchDecoder{
                    std::make_shared<asr::Language>(asr::LanguageParts{
                        std::move(alphabet), std::move(lm), std::move(lexicon), std::move(hotwords),
                        std::move(grammar), unit, lm_alpha, lm_beta, unk_score}),
                    std::move(factory),
                    {beam_width, n_best, token_min_logp, beam_prune_logp, max_delay,
                     blank_skip_logp, token_top_n}};
            },
            "alphabet"_a, "factory"_a, "lm"_a.none(), "lexicon"_a.none(), "hotwords"_a.none(),
            "grammar"_a.none(), "lm_scores_tokens"_a, "lm_alpha"_a, "lm_beta"_a, "unk_score"_a,
            "beam_width"_a, "n_best"_a, "token_min_logp"_a, "token_top_n"_a, "beam_prune_logp"_a,
            "max_delay"_a, "blank_skip_logp"_a)
        .def("decode", &BeamSearchDecoder::decode<float>, nb::arg().noconvert(), nb::arg().none(),
             nb::arg())
        .def("decode", &BeamSearchDecoder::decode<double>, nb::arg().noconvert(), nb::arg().none(),
             nb::arg());
    nb::class_<BeamSearchStream>(m, "BeamSearchStream")
        .def(nb::init<const BeamSearchDecoder&>())
        .def("push", &BeamSearchStream::push<float>, nb::arg().noconvert())
        .def("push", &BeamSearchStream::push<double>, nb::arg().noconvert())
        .def("partial", &BeamSearchStream::partial)
        .def("finish", &BeamSearchStream::finish);
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
               const ModelPtr& lm, bool allow_homophones) {
                new (self) asr::Lexicon(entries, lm.get(), allow_homophones);
            },
            "entries"_a, "lm"_a.none(), "allow_homophones"_a = false)
        .def_prop_ro("most_homophones", &asr::Lexicon::most_homophones);
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
