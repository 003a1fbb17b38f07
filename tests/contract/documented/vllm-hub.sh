# vLLM, "Using Docker"
docker run --runtime nvidia --gpus all \
    --name my_vllm_container \
    -v /home/ops/.cache/huggingface:/root/.cache/huggingface \
    --env "HUGGING_FACE_HUB_TOKEN=$SECRET" \
    -p 8000:8000 \
    --ipc=host \
    vllm/vllm-openai:latest \
    --model deepseek-ai/DeepSeek-R1
