# llama.cpp with Unsloth's DeepSeek-R1 ("Run DeepSeek-R1 Dynamic 1.58-bit"), on two chosen GPUs
docker run --runtime nvidia --gpus all \
    --detach \
    --restart always \
    --name llama \
    --env TZ=Asia/Shanghai \
    --env CUDA_VISIBLE_DEVICES=3,4 \
    --volume /dsdata/modelscope/:/models/ \
    --publish 8000:8000 \
    ghcr.io/ggml-org/llama.cpp:server \
    --port 8000 --host 0.0.0.0 -n 512 \
    --model DeepSeek-R1-GGUF/DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf
