"""The recipe of the Switchyard R1 demo model: data, tokenizer, trainer, exporter, evaluator."""
