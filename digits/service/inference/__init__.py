"""For programs that send prepared 28x28 images: the Open Inference Protocol, Triton's additions, KServe's first one."""
