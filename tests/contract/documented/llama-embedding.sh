# llama.cpp, tools/server/README.md, "Serve an embedding model"
docker run --gpus all -p 8080:8080 ghcr.io/ggml-org/llama.cpp:server-cuda -m model.gguf --embedding --pooling cls -ub 8192
