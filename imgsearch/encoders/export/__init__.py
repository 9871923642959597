"""Encoders as ONNX or OpenVINO files, and the engines that run them."""
