"""Trained models as files that other runtimes read: ONNX and TorchScript."""
