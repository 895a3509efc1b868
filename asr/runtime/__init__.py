"""Exported models at work without PyTorch: numpy, onnxruntime and the decoder library.

from asr import runtime
runtime.load("model.onnx").transcribe("speech.wav").text
"""

from asr.runtime.facts import Facts, ModelFileError
from asr.runtime.model import OnnxModel
from asr.runtime.recognizer import OnnxRecognizer, load

__all__ = ["Facts", "ModelFileError", "OnnxModel", "OnnxRecognizer", "load"]
