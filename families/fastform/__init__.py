"""Write the fast form; needs onnx, which only training has."""
