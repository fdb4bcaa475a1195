"""Certificates for tests: an authority and what it signs, made by openssl's command line."""

import subprocess

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make(folder, *names):
    """ca.pem and ca.key, and NAME.pem and NAME.key for localhost and 127.0.0.1 of each name."""
    openssl("req", "-x509", *CURVE, "-subj", "/CN=test authority", "-days", 1, "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in names:
        openssl("req", *CURVE, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", 1,
                "-extfile", folder / "names", "-out", folder / f"{name}.pem")
        (folder / f"{name}.key").chmod(0o600)


def internal(folder, name):
    """The configuration's section for the internal ports."""
    return f"tls: {{cert_file: {folder}/{name}.pem, key_file: {folder}/{name}.key, ca_file: {folder}/ca.pem}}\n"
