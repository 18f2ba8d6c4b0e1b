"""What is in a .tflite, read without TensorFlow and without running it."""
