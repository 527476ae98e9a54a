"""What is trained beside a frozen base: LoRA and its kin, through PEFT."""
