"""A page draws as SVG: the library that pictures in files need is slow to import, and is not."""

import subprocess
import sys


def test_a_page_is_made_without_matplotlib(tmp_path):
    script = (
        "import sys, torch; from intel_core import fit; from intel_cli.main import intel\n"
        "fit(mapping='circle', data='circle', latent=2, steps=2, run_dir='run')\n"
        "try: intel(['report', 'run'], prog_name='intel')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert (tmp_path / "run" / "report.html").is_file()
