"""Files in, files out: probing, decoding, encoding and joining, by ffmpeg and libav."""
