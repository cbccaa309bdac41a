"""Files in the dialects that people bring: the right labels, or one sentence."""

import bz2
import contextlib
import gzip
import lzma
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.db import connect

from tpainn_lite import data, datasets
from tpainn_lite.data import DataWarning
from tpainn_lite.public import dialects, doubts, unpack
from tpainn_lite.units import BOHR, HARTREE, KCAL_MOL

HEADER = "Properties=species:S:1:pos:R:3:{forces}:R:3 {energy} pbc=F"


@pytest.fixture(scope="module")
def frames():
    return datasets.load("ethanol-dft")["pool"][:6]


@pytest.fixture(scope="module")
def boxes():
    return datasets.load("water-dft")["pool"][:2]


def lines(symbols, *columns) -> str:
    """Write a line an atom: its symbol, and numbers of arrays (N, 3)."""
    rows = zip(symbols, np.hstack(columns), strict=True)
    return "".join(f"{s} {' '.join(f'{x:.12f}' for x in row)}\n" for s, row in rows)


def xyz(frames, energy="energy={:.10f}", forces="forces", header=HEADER) -> str:
    """Write an extended XYZ by hand, with the energy and the force column as told."""
    text = ""
    for a in frames:
        said = energy.format(a.get_potential_energy())
        text += f"{len(a)}\n{header.format(energy=said, forces=forces)}\n"
        text += lines(a.symbols, a.positions, a.get_forces())
    return text


def same(found, frames, energy=1.0, force=1.0):
    """Compare energies, forces and positions to what was written."""
    assert len(found) == len(frames)
    for a, b in zip(found, frames, strict=True):
        assert (a.numbers == b.numbers).all()
        np.testing.assert_allclose(a.positions, b.positions, atol=1e-8)
        wanted = energy * b.get_potential_energy()
        np.testing.assert_allclose(a.get_potential_energy(), wanted, rtol=1e-10)
        np.testing.assert_allclose(a.get_forces(), force * b.get_forces(), atol=1e-8)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def read(tmp_path):
    """Write a file and read it; `said`: what warnings must say, in this order."""

    def reading(content, name="a.xyz", said="", **how):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        hears = pytest.warns(DataWarning, match=f"(?s){said}")
        with hears if said else contextlib.nullcontext():
            return data.read(path, **how)

    return reading


WRITTEN = {  # how the labels are called and spelt, what is said
    "plain": ("energy={:.10f}", "forces", ""),
    "Fortran's exponent": ("energy={:.10E}", "forces", ""),
    "words": ('energy="{:.10f} eV"', "forces", ""),
    "NumPy's text": ("energy=np.float64({:.10f})", "forces", ""),
    "one free energy": ("energy={0:.10f} free_energy={0:.10f}", "forces", ""),
    "other": ("energy={:.10f} free_energy=-3.0", "forces", "y' and 'free_energy' diff"),
    "MACE's": ("REF_energy={:.10f}", "REF_forces", "'REF_energy'.*'REF_forces'"),
    "QUIP's": ("dft_energy={:.10f}", "dft_force", "'dft_energy'.*'dft_force'"),
    "others'": ("TotEnergy={:.10f}", "force", "'TotEnergy'.*'force'"),
}


@pytest.mark.parametrize(("energy", "forces", "said"), WRITTEN.values(), ids=WRITTEN)
def test_labels_are_read_and_odd_keys_named(read, frames, energy, forces, said):
    text = xyz(frames, energy, forces).replace("E+0", "D+0")
    same(read(text, said=said), frames)


def test_a_key_may_change_and_names_that_look_like_numbers_stay(read, frames):
    text = xyz(frames[:2]) + xyz(frames[2:], "REF_energy={:.10f}", "REF_forces")
    same(read(text, said="'REF_energy'"), frames)
    text = xyz(frames, "PBE0D3_energy={:.10f} mol=12D34")
    found = read(text, energy_key="PBE0D3_energy")
    same(found, frames)
    assert found[0].info["mol"] == "12D34"


def test_two_energies_that_differ_need_a_choice(read, frames):
    text = xyz(frames, "energy={:.10f} REF_energy=-3.0")
    with pytest.raises(ValueError, match="a.xyz: 'energy' and 'REF_energy' differ"):
        read(text)
    same(read(text, energy_key="energy"), frames)
    with pytest.raises(ValueError, match="energy_key: no frame has 'dft'"):
        read(text, energy_key="dft")


def test_forces_in_the_header_are_read(read, frames):
    text = ""
    for a in frames:
        forces = str(a.get_forces().tolist())
        text += f'{len(a)}\nenergy={a.get_potential_energy()} forces="_JSON {forces}"\n'
        text += lines(a.symbols, a.positions)
    same(read(text), frames)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_and_blank_lines_are_read(read, frames, encoding):
    text = xyz(frames[:2], "energy={:.10f} note=für") + "\n\n" + xyz(frames[2:]) + "\n"
    same(read(text.encode(encoding)), frames)


PACKERS = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}


def pack(path: Path, content: bytes) -> Path:
    """Write a packed file, by its suffix; in a zip it is called a.xyz."""
    kind = path.suffix[1:]
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.xyz", content)
    else:
        with PACKERS[kind](path, "wb") as file:
            file.write(content)
    return path


@pytest.mark.parametrize("kind", [*PACKERS, "zip"])
def test_packed_files_are_read(tmp_path, frames, kind):
    same(data.read(pack(tmp_path / f"a.xyz.{kind}", xyz(frames).encode())), frames)


def test_lists_patterns_folders_and_odd_names_are_read(tmp_path, frames):
    paths = [tmp_path / f"run@{k}K [a].xyz" for k in range(3)]
    for k, path in enumerate(paths):
        write(path, xyz(frames[2 * k : 2 * k + 2]))
    for given in (paths, tmp_path, tmp_path / "run@?K*.xyz", str(tmp_path)):
        same(data.read(given), frames)
    same(data.read(paths[0]), frames[:2])
    with pytest.raises(ValueError, match="none.xyz: no such file"):
        data.read(tmp_path / "none.xyz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no file in it ends in"):
        data.read(tmp_path / "empty")


def test_frames_that_lack_labels_are_left_out_and_named(tmp_path, frames):
    text = [xyz([a]) for a in frames]
    text[1] = text[1].replace(f"energy={frames[1].get_potential_energy():.10f}", "")
    text[3] = xyz([frames[3]], forces="velo")
    text[4] = xyz([frames[4]], "energy=********")
    path = write(tmp_path / "a.xyz", "".join(text))
    lacking = "2 frames without energy .*: a.xyz, frame 1; a.xyz, frame 4."
    with (
        pytest.warns(DataWarning, match=r"no numbers: frames \[4\]"),
        pytest.warns(DataWarning, match=f"(?s){lacking}.*forces .*: a.xyz, frame 3."),
    ):
        same(data.read(path), [frames[k] for k in (0, 2, 5)])
    with pytest.warns(DataWarning):
        assert len(data.read(path, forces=False)) == 4


def test_free_atoms_need_no_forces_and_deuterium_is_hydrogen(read, frames):
    atoms = "1\nenergy=-13.6 config_type=IsolatedAtom pbc=F\nH 0 0 0\n"
    found = read(atoms + xyz(frames).replace("H ", "D "))
    assert (found[0].get_potential_energy(), len(found)) == (-13.6, 7)
    same(found[1:], frames)
    assert set(found[1].get_masses()[frames[0].numbers == 1]) == {2.014}


def in_boxes(boxes, header):
    """Write frames with a cell (Å) and more in the header."""
    side = boxes[0].cell[0, 0]
    more = f'Lattice="{side} 0 0 0 {side} 0 0 0 {side}" energy={{:.10f}} {header}'
    return xyz(boxes, more).replace("pbc=F", "pbc=T")


SIX = np.array([1, 5, 9, 6, 3, 2])
STRESSES = {  # header, stress (6,), of a virial times minus the volume; what is said
    "six": ('stress=".01 .02 .03 .03 .02 0"', [0.01, 0.02, 0.03, 0.03, 0.02, 0], ""),
    "GPa": ('stress="1 2 3 4 5 6"', None, "Stress times volume is .* in GPa or kbar"),
    **{
        key: (f'{key}="1 2 3 2 5 6 3 6 9"', SIX, f"stress is minus '{key}' over the v")
        for key in ("virial", "virials", "dft_virial")
    },
}


@pytest.mark.parametrize(("header", "six", "said"), STRESSES.values(), ids=STRESSES)
def test_stress_is_a_tensor_or_minus_a_virial_over_the_volume(
    read, boxes, header, six, said
):
    found = read(in_boxes(boxes, header), said=said)
    same(found, boxes)
    if six is not None:
        six = six if "stress" in header else -six / boxes[0].get_volume()  # eV/Å³
        np.testing.assert_allclose(data.stress_of(found[0]), six, rtol=1e-12)


def test_stress_that_is_none(read, boxes):
    two = in_boxes(boxes, 'stress=".01 0 0 0 0 0" REF_stress="0 0 0 0 0 0"')
    read(two, said="left out: 'REF_stress' and 'stress' differ")
    text = in_boxes(boxes, 'stress="0 0 0 nan 0 0"')
    for found in (read(text), read(text, unit="kcal/mol/Å")):
        with pytest.raises(ValueError, match="atoms: needs a stress, it is missing"):
            data.stress_of(found[0])


BROKEN = {
    "dummy atom": (lambda t: t.replace("\nO ", "\nX "), "frame 0.*atom 2: 'X' is no"),
    "cut off": (lambda t: t[: len(t) * 3 // 5], "frame 3 is cut off.*before line"),
    "unit in words": (
        lambda t: t.replace(" pbc", "Ha pbc", 1),
        "energy: needs a number",
    ),
    "count": (
        lambda t: t.replace("9\n", "nine\n", 1),
        "the number of atoms of frame 0",
    ),
    "no labels": (lambda t: t.replace("energy", "weight"), "there.*weight|has energy"),
    "infinite": (
        lambda t: t.replace("energy=-4", "energy=1e999 x=-4"),
        "frame 0: energy",
    ),
    "empty": (lambda t: "", "the file is empty"),
    "no atoms": (lambda t: t + "0\n\n", "line 67: frame 6 has no atoms"),
}


@pytest.mark.parametrize(("harm", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_files_end_in_a_sentence(read, frames, harm, words):
    with pytest.raises(ValueError, match=f"(?s)a.xyz: .*({words})"):
        read(harm(xyz(frames)))


LJ = "units=lj"  # LAMMPS's own, without a size
UNITS = [
    ("kcal/mol/Å", KCAL_MOL, KCAL_MOL),
    ("kcal mol-1 Ang-1", KCAL_MOL, KCAL_MOL),
    (("eV/Å", "Hartree/Bohr"), 1.0, HARTREE / BOHR),
    (("Eh", "Ha/a0"), HARTREE, HARTREE / BOHR),
    ("eV / Bohr", 1.0, 1 / BOHR),
]


@pytest.mark.parametrize(("unit", "energy", "force"), UNITS)
def test_units_are_those_that_are_told(read, frames, unit, energy, force):
    text = xyz(frames)
    same(read(text, unit=unit), frames, energy, force)
    same(read(text, unit=unit, gradients=True), frames, energy, -force)
    for other in ("furlong", "eV", float("nan"), ("eV",)):
        with pytest.raises(ValueError, match="unit: needs one of"):
            read(text, unit=other)


def deepmd(folder, names, types, **arrays):
    """Write a folder of DeePMD: the elements' names, a type an atom, one set."""
    (folder / "set.000").mkdir(parents=True)
    write(folder / "type_map.raw", names)
    write(folder / "type.raw", " ".join(map(str, types)))
    for name, values in arrays.items():
        np.save(folder / f"set.000/{name}.npy", np.array(values))
    return folder


def test_deepmd_folders_are_read(tmp_path, boxes):
    folder = deepmd(
        tmp_path / "system",
        "H O",
        (boxes[0].numbers == 8).astype(int),
        coord=[a.positions.ravel() for a in boxes],
        box=[a.cell.array.ravel() for a in boxes],
        energy=[a.get_potential_energy() for a in boxes],
        force=[a.get_forces().ravel() for a in boxes],
        virial=[np.arange(9.0)] * len(boxes),
    )
    for path in (folder, tmp_path):
        with pytest.warns(DataWarning, match="stress is minus 'virial'"):
            same(data.read(path), boxes)
    (folder / "type_map.raw").unlink()
    with pytest.raises(ValueError, match="system: type_map.raw: needs the elements"):
        data.read(folder)


def test_deepmd_frames_may_have_own_types(tmp_path, frames):
    pad = np.zeros((1, 3))
    folder = deepmd(
        tmp_path / "mixed",
        "C H O",
        [0] * 10,
        real_atom_types=[[*("CHO".index(s) for s in a.symbols), -1] for a in frames],
        coord=[np.vstack([a.positions, pad]).ravel() for a in frames],
        energy=[a.get_potential_energy() for a in frames],
        force=[np.vstack([a.get_forces(), pad]).ravel() for a in frames],
    )
    write(folder / "nopbc", "")
    same(data.read(folder), frames)
    write(folder / "type_map.raw", "C H")
    with pytest.raises(ValueError, match="mixed: cannot be understood .IndexError"):
        data.read(folder)


def database(path, frames, labels, units=None, **columns):
    """Write a database: ``labels(a)`` of each frame, SchNetPack's with `units`."""
    with connect(path) as opened:
        if units:
            opened.metadata = {"_property_unit_dict": units, "_distance_unit": "Ang"}
        for a in frames:
            bare = Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc)
            columns = {key: a.get_potential_energy() for key in columns}
            opened.write(bare, data=labels(a), **columns)
    return path


def test_databases_of_schnetpack_are_read_in_their_units(tmp_path, frames):
    units = {"forces": "kcal/mol/Ang", "dipole": "Debye"}
    units |= {"energy_atomisation": "Hartree", "energy": "kcal/mol"}

    def labels(a):
        energy = np.array([a.get_potential_energy() / KCAL_MOL])
        found = dict(energy=energy, forces=a.get_forces() / KCAL_MOL)
        return found | {"energy_atomisation": np.array([-30 - a.positions[0, 0]])}

    path = database(tmp_path / "a.db", frames, labels, units)
    same(data.read(path), frames)
    found = data.read(path, energy_key="energy_atomisation")
    energy = (-30 - frames[0].positions[0, 0]) * HARTREE
    np.testing.assert_allclose(found[0].get_potential_energy(), energy)
    with pytest.raises(ValueError, match="unit: the file says"):
        data.read(path, unit="Hartree/Bohr")


def test_databases_of_ase_may_have_labels_in_their_columns(tmp_path, frames):
    labels = lambda a: {"forces": a.get_forces()}  # noqa: E731
    path = database(tmp_path / "a.db", frames, labels, dft_energy=0)
    with pytest.warns(DataWarning, match="The energy is 'dft_energy'"):
        same(data.read(path), frames)


@pytest.mark.parametrize(
    ("unit", "size"),
    [("eV/Ang/Ang/Ang", 1), ("GPa", 160.21766), ("kbar", 1602.1766), ("psi", None)],
)
def test_databases_name_the_unit_of_stress(tmp_path, boxes, unit, size):
    def labels(a):
        found = {"energy": np.array([a.get_potential_energy()])}
        return found | dict(forces=a.get_forces(), stress=np.diag([0.01, 0.02, 0.03]))

    units = {"energy": "eV", "forces": "eV/Ang", "stress": unit}
    path = database(tmp_path / "a.db", boxes, labels, units)
    found = data.result(data.read(path)[0], "stress")
    assert (found is None) == (size is None)
    if size:
        np.testing.assert_allclose(found[:3] * size, [0.01, 0.02, 0.03], rtol=1e-6)


@pytest.mark.parametrize("steps", [6, 3])  # after a restart they come again
def test_cp2k_positions_and_forces_are_read(tmp_path, frames, steps):
    text = {"pos": "", "frc": ""}
    for k, a in enumerate(frames):
        energy = a.get_potential_energy() / HARTREE
        head = f"{len(a)}\n i = {k % steps}, time = {k:.1f}, E = {energy:.12f}\n"
        text["pos"] += head + lines(a.symbols, a.positions)
        text["frc"] += head + lines(a.symbols, a.get_forces() * BOHR / HARTREE)
    path = write(tmp_path / "run-pos-1.xyz", text["pos"])
    write(tmp_path / "run-frc-1.xyz", text["frc"])
    with pytest.warns(DataWarning, match="writes no cell"):
        same(data.read(path), frames)
    write(tmp_path / "run-frc-1.xyz", text["frc"].replace("i = ", "i = 1"))
    with (
        pytest.warns(DataWarning, match="writes no cell"),
        pytest.raises(ValueError, match="no frame has forces"),
    ):
        data.read(path)


DOUBTS = {
    "Bohr": (lambda a: a.set_positions(a.positions / BOHR), "positions in Bohr"),
    "half": (lambda a: a.set_positions(a.positions * BOHR), "half|0.5 bond lengths"),
    "zero": (lambda a: a.calc.results["forces"].fill(0), "All forces are zero"),
    "turned": (lambda a: a.rotate(70, (1, 2, 3)), "another than that of the positions"),
}


@pytest.mark.parametrize(("harm", "words"), DOUBTS.values(), ids=DOUBTS)
def test_what_cannot_be_right_is_doubted(read, frames, harm, words):
    harmed = []
    for a in frames:
        b = data.with_labels(a, a.get_potential_energy(), a.get_forces())
        calc = b.calc
        harm(b)
        b.calc = calc
        calc.atoms = b.copy()
        harmed.append(b)
    read(xyz(harmed), said=words)


def test_a_run_tells_the_sign_and_the_unit_of_forces(read, boxes):
    """A pair of atoms on a spring: dE = -F dr."""
    run = []
    for d in np.linspace(0.9, 1.1, 12):
        a = Atoms("HOH", [[d, 0, 0], [0, 0, 0], [-0.3, 0.9, 0]])
        pull = np.array([[-8 * (d - 0.96), 0, 0], [8 * (d - 0.96), 0, 0], [0, 0, 0]])
        run.append(data.with_labels(a, 4 * (d - 0.96) ** 2, pull))
    assert len(read(xyz(run))) == 12
    read(xyz(run), said="gradients in place of forces", gradients=True)
    unit = "eV/Å", "Hartree/Bohr"
    read(xyz(run), said="0.0194 times as much as forces say", unit=unit)


@pytest.mark.parametrize("suffix", [*PACKERS, "zip", "npz"])
def test_a_small_file_that_holds_a_gigabyte(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(unpack, "LARGEST", 2**24)
    path = tmp_path / f"bomb.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, R=np.zeros(2**22))
    else:
        pack(path, bytes(2**25))
    assert path.stat().st_size < 2**17
    with pytest.raises(ValueError, match=f"{path.name}: .*holds more than a gigabyte"):
        data.read(path)
    path.write_bytes(path.read_bytes()[:20] + bytes(60))
    with pytest.raises(ValueError, match=f"{path.name}: .*cannot be unpacked"):
        data.read(path)


def test_an_npz_that_cannot_be_unpacked(tmp_path):
    """A flipped byte came out as zlib.error, a header that lies as MemoryError."""
    path, plain = tmp_path / "odd.npz", dict.fromkeys("zEF", np.zeros(9))
    np.savez_compressed(path, R=np.sqrt(np.arange(999)), **plain)
    content = bytearray(path.read_bytes())
    content[80:99] = bytes([255] * 19)  # of the deflated stream
    path.write_bytes(content)
    with pytest.raises(ValueError, match="odd.npz: .*cannot be unpacked"):
        data.read(path)
    np.savez(path, **plain)
    about = {"descr": "<f8", "fortran_order": False, "shape": (10**11,)}
    with zipfile.ZipFile(path, "a") as lie, lie.open("R.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, about)
    with pytest.raises(ValueError, match="odd.npz: .*(than a gigabyte|read array)"):
        data.read(path)


def test_numbers_are_elements_and_columns_may_move(read, frames):
    rows = ""
    for a in frames:
        rows += f"{len(a)}\nProperties=pos:R:3:Z:I:1:forces:R:3 pbc=F "
        rows += f"energy={a.get_potential_energy():.10f}\n"
        for z, r, f in zip(a.numbers, a.positions, a.get_forces(), strict=True):
            numbers = [*(f"{x:.10f}" for x in r), str(z), *(f"{x:.10f}" for x in f)]
            rows += "\t".join(numbers) + "\r\n"
    same(read(rows), frames)
    bare = rows.replace("Properties=pos:R:3:Z:I:1:forces:R:3 ", "").replace("\r", "")
    cells = [line.split("\t") for line in bare.splitlines()]  # a header is one
    bare = "\n".join("\t".join([*c[3:4], *c[:3], *c[4:]]) for c in cells) + "\n"
    said = "6 frames have columns after the positions"
    found = read(bare, "b.xyz", said, forces=False)
    assert (found[0].numbers == frames[0].numbers).all()


def test_energies_of_atoms_are_no_energy(tmp_path, frames):
    metals = [bulk("Cu", cubic=True) for _ in range(3)]
    for k, atoms in enumerate(metals):
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        atoms.get_forces()
    ase.io.write(tmp_path / "a.traj", metals)
    found = data.read(tmp_path / "a.traj")
    energies = ([a.get_potential_energy() for a in x] for x in (found, metals))
    np.testing.assert_array_equal(*energies)


def test_a_folder_leaves_out_what_cannot_be_used(tmp_path, frames):
    for k, a in enumerate(frames):
        write(tmp_path / f"{k}.xyz", xyz([a]))
    write(tmp_path / "README.log", "Nothing to see\n")
    write(tmp_path / "7.xyz", xyz(frames[:1], "weight={:.1f}", "velo"))
    write(tmp_path / "._0.xyz", "rubbish")
    with pytest.warns(DataWarning, match="left out: ") as said:
        same(data.read(tmp_path), frames)
    assert len(said) == 2
    with pytest.raises(ValueError, match="7.xyz: no frame has energy"):
        data.read(tmp_path / "7.xyz")
    with pytest.raises(ValueError, match="README.log: no structures in it"):
        data.read(tmp_path / "R*")


def test_packed_files_in_folders_are_found(tmp_path, frames):
    for k, kind in enumerate(PACKERS):
        pack(tmp_path / f"{k}.xyz.{kind}", xyz(frames[k : k + 1]).encode())
    pack(tmp_path / "3.zip", xyz(frames[3:]).encode())
    (tmp_path / "0.xyz").write_text(xyz(frames[:1]))  # also plain: counts once
    (tmp_path / "vasp").mkdir()
    pack(tmp_path / "vasp/OUTCAR.gz", b"nothing\n")
    (tmp_path / "vasp/other.xyz").write_text(xyz(frames))
    with pytest.warns(DataWarning, match="OUTCAR.gz:\nleft out"):
        same(data.read(tmp_path), frames)


HARM = {  # of the row of atom 2 in frame 1, and what of the frame is lost
    "force": (lambda row: [*row[:4], "********", *row[5:]], "forces"),
    "two forces": (lambda row: [*row[:4], "*" * 18], "left out"),
    "no number": (lambda row: [*row[:6], "None"], "forces"),
    "position": (lambda row: [*row[:2], "*****", *row[3:]], "positions"),
    "glued": (lambda row: [row[0], f"{row[1]}****", *row[3:]], "positions"),
    "nan": (lambda row: [row[0], "nan", *row[2:]], "positions"),
}


@pytest.mark.parametrize(("harm", "lost"), HARM.values(), ids=HARM)
def test_stars_cost_one_frame(read, frames, harm, lost):
    rows = xyz(frames).splitlines()
    rows[11 + 4] = " ".join(harm(rows[11 + 4].split()))
    text, said = "\n".join(rows) + "\n", f"1 frames .*{lost}.*: a.xyz, frame 1"
    same(read(text, said=said), [frames[0], *frames[2:]])


def test_a_database_in_a_zip_is_read(tmp_path, frames):
    with connect(tmp_path / "a.db") as database:
        for a in frames:
            database.write(a)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.db", "a.db")
        archive.writestr("__MACOSX/._a.db", "x")
    same(data.read(tmp_path / "a.zip"), frames)


def test_sound_data_raise_no_doubt(frames):
    argon = bulk("Ar", "fcc", 5.3, cubic=True)
    copper = [bulk("Cu", "fcc", a, cubic=True) for a in (3.5, 3.6, 3.7)]
    still = [data.with_labels(a, -a.get_volume(), np.zeros((4, 3))) for a in copper]
    minimum = [
        data.with_labels(
            a, -1.0 - k, 2e-3 * np.random.default_rng(k).normal(size=(9, 3))
        )
        for k, a in enumerate(frames)
    ]
    for sound in ([argon], still, minimum, [Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])]):
        assert doubts.doubts(sound) == []
    large = bulk("Cu", cubic=True) * (9, 9, 9)
    assert doubts.lengths([large]) == []  # 8 GB with all distances


def test_files_are_read_together(tmp_path, frames):
    """Labels that one file lacks are those that another has; places name the file."""
    first = write(tmp_path / "a.xyz", xyz(frames[:2], "weight={:.1f}", "velo"))
    other = write(tmp_path / "b.xyz", xyz(frames[2:], "QM_E={:.10f}", "QM_F"))
    words = "2 frames without energy left out: a.xyz, frame 0; a.xyz, frame 1."
    keys = dict(energy_key="QM_E", forces_key="QM_F")
    with pytest.warns(DataWarning, match=words):
        found = data.read([first, other], **keys)
    same(found, frames[2:])
    assert [a.info["origin"] for a in found] == [f"b.xyz, frame {k}" for k in range(4)]
    with pytest.raises(ValueError, match="energy_key: no frame has 'dft', but .*QM_E"):
        data.read([first, other], energy_key="dft")
    write(first, "rubbish")
    with pytest.warns(DataWarning, match="a.xyz:\nleft out: line 1 must be the number"):
        same(data.read([first, other], **keys), frames[2:])


@pytest.mark.parametrize("vector", [10.0, 60.0, 0.0])
def test_slabs_become_boxes_of_the_same_energy(tmp_path, vector):
    slab = fcc111("Cu", (2, 2, 2), vacuum=None)
    slab.rattle(0.1, seed=0)
    slab.cell[2] = 0, 0, vector
    text = xyz([data.with_labels(slab, -1.0, np.ones((8, 3)))])
    lattice = " ".join(map(str, slab.cell.array.ravel()))
    text = text.replace("pbc=F", f'pbc="T T F" Lattice="{lattice}"')
    with pytest.warns(DataWarning, match="1 structures are periodic in some dir"):
        (found,) = data.read(write(tmp_path / "a.xyz", text))
    assert found.pbc.all()
    np.testing.assert_array_equal(found.get_forces(), np.ones((8, 3)))
    np.testing.assert_allclose(found.get_all_distances(), slab.get_all_distances())
    slab.calc = EMT()
    found.calc = EMT()
    energies = found.get_potential_energy(), slab.get_potential_energy()
    np.testing.assert_allclose(*energies, rtol=1e-10)
    np.testing.assert_allclose(found.get_forces(), slab.get_forces(), atol=1e-10)
    torn = text.replace(f'"{lattice}"', '"0 0 0 0 5.1 0 0 0 0"')
    with pytest.raises(ValueError, match=r"a.xyz: frame 0: .* needs a cell vector"):
        data.read(write(tmp_path / "a.xyz", torn))


COMMENTS = {  # and the unit that is told
    "xtb": (" energy: {energy} gnorm: 0.0123 xtb: 6.5.1", None, "writes no cell"),
    "ORCA": ("Coordinates from ORCA-job a E {energy}", None, "writes no cell"),
    "CREST": ("   {energy}", ("Hartree", "eV/Å"), "number above 6 structures"),
}


@pytest.mark.parametrize(("header", "unit", "said"), COMMENTS.values(), ids=COMMENTS)
def test_energies_in_comments_are_read(tmp_path, frames, header, unit, said):
    energies = [a.get_potential_energy() for a in frames]
    text = ""
    for a, energy in zip(frames, energies, strict=True):
        text += f"9\n{header.format(energy=energy / HARTREE)}\n"
        text += lines(a.symbols, a.positions)
    for name in ("opt.log", "opt.xyz"):
        path = write(tmp_path / name, text)
        with pytest.warns(DataWarning, match=said):
            found = data.read(path, forces=False, unit=unit)
        given = [a.get_potential_energy() for a in found]
        np.testing.assert_allclose(given, energies, rtol=1e-10)
    if unit:
        with pytest.warns(DataWarning, match="(?s)as total energies in Hartree"):
            data.read(path, forces=False)


def test_energies_of_castep_are_free_energies(tmp_path, boxes):
    text = " BEGIN header\n \n END header\n \n"
    for a in boxes:
        e = a.get_potential_energy() / HARTREE
        text += f"  0.0\n  {e:.14E} {e:.14E} 0.0   <-- E\n"
        text += "".join(" {} {} {}  <-- h\n".format(*v) for v in a.cell / BOHR)
        forces = a.get_forces() * BOHR / HARTREE
        for key, rows in (("R", a.positions / BOHR), ("F", forces)):
            each = enumerate(lines(a.symbols, rows).splitlines(), start=1)
            for k, line in each:
                text += line.replace(" ", f" {k} ", 1) + f"  <-- {key}\n"
        text += "\n"
    with pytest.warns(DataWarning, match="The energy is 'free_energy'"):
        found = data.read(write(tmp_path / "a.md", text))
    for a, b in zip(found, boxes, strict=True):  # CODATA of other years
        np.testing.assert_allclose(a.get_forces(), b.get_forces(), rtol=1e-6, atol=1e-9)
        energies = a.get_potential_energy(), b.get_potential_energy()
        np.testing.assert_allclose(*energies, rtol=1e-6)


DUMP = """ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
1
ITEM: BOX BOUNDS pp pp pp
0.0 9.0
0.0 9.0
0.0 9.0
ITEM: ATOMS id type x y z fx fy fz
1 1 0 0 0 0.1 0 0
"""
UNREADABLE = {
    "dump.lammpstrj": (DUMP, "no energies in it that ASE can read. Else write"),
    "psi4.out": ("   Psi4: An Open-Source Package\n", "no structures in it"),
    "ML_AB": (" 1.0 Version\n***\n", "ASE cannot read it.*Else write extended XYZ"),
    "energies.csv": ("smiles,energy\nCCO,-154.9\n", "ASE cannot read it.*dpdata"),
    "a.gen": ("1 C\nH\n1 1 0 0 0\n", "no frame has energy; there are structures only"),
    "odd.unknown": ("nothing ASE knows", "ASE cannot read it"),
    "binary.traj": ("\0\1\2" * 50, "ASE cannot read it"),
    "few.xyz": ("3\nenergy=1\nH 0 0 0\nH 0 0 1\n1\n\n", "has 1 of 4 columns"),
}


@pytest.mark.parametrize(("name", "content"), UNREADABLE.items(), ids=UNREADABLE)
def test_files_without_labels_end_in_a_sentence(read, name, content):
    with pytest.raises(ValueError, match=f"(?s){name}: .*{content[1]}"):
        read(content[0], name)


def test_an_scf_that_did_not_converge_is_left_out(tmp_path, frames):
    bad = " convergence NOT achieved after 100 iterations: stopping"
    write(tmp_path / "b.out", PWSCF.replace("!  ", f"{bad}\n!  "))
    write(tmp_path / "a.out", PWSCF)
    with pytest.warns(DataWarning, match="b.out:\nleft out: 1 of its SCF cycles did"):
        (found,) = data.read([tmp_path / "a.out", tmp_path / "b.out"])
    with pytest.raises(ValueError, match="unit: the file says 1 eV .* leave unit out"):
        data.read(tmp_path / "a.out", unit="Ry/Bohr")  # ASE has converted it
    np.testing.assert_allclose(found.get_potential_energy(), -HARTREE, rtol=1e-6)
    np.testing.assert_allclose(found.get_forces()[0, 0], HARTREE / BOHR / 20, rtol=1e-6)


ORCA = """
Total Charge           Charge          ....    0
Multiplicity           Mult            ....    1
Number of atoms                         ...     9
---------------------------------
CARTESIAN COORDINATES (ANGSTROEM)
---------------------------------
{positions}

{words}
FINAL SINGLE POINT ENERGY {energy:20.12f}

CARTESIAN GRADIENT
------------------

{gradient}

{ends}
"""


STEP = "GEOMETRY RELAXATION STEP"


def test_a_step_that_did_not_converge_is_left_out_alone(tmp_path, frames):
    text = "* O   R   C   A *\n"
    for k, a in enumerate(frames):
        rows = zip(a.get_chemical_symbols(), a.positions, a.get_forces(), strict=True)
        places, slopes = [], []
        for i, (symbol, r, f) in enumerate(rows):
            places.append(f"  {symbol} {r[0]:.10f} {r[1]:.10f} {r[2]:.10f}")
            x, y, z = -f * BOHR / HARTREE
            slopes.append(f"{i + 1:4d}   {symbol}   : {x:.12f} {y:.12f} {z:.12f}")
        text += ORCA.format(
            ends=f"ORCA {'TERMINATED NORMALLY' if a is frames[-1] else STEP}",
            positions="\n".join(places),
            words="SCF NOT CONVERGED AFTER 125 CYCLES" * (k == 2),
            energy=a.get_potential_energy() / HARTREE,
            gradient="\n".join(slopes),
        )
    path = write(tmp_path / "opt.out", text)
    with pytest.warns(DataWarning, match=r"cycle did not converge: frames \[2\]"):
        same(data.read(path), frames[:2] + frames[3:])


SCF = {  # a cycle, with the energy, and what is written where it failed
    "Gaussian": (" {0}SCF Done:", "Convergence criterion not met.\n "),
    "NWChem": (" {0}\n Total DFT energy", "Calculation failed to converge"),
    "Quantum ESPRESSO": (
        "     Self-consistent Calculation\n!    total energy\n {0}",
        "convergence NOT achieved after 100 iterations",
    ),
}


@pytest.mark.parametrize(("cycle", "words"), SCF.values(), ids=SCF)
def test_cycles_that_failed_belong_to_frames(cycle, words):
    said = [words * (k in (1, 3)) for k in range(5)]
    text = "\n".join(cycle.format(each) for each in said)
    assert dialects._unconverged(text, 5) == [1, 3]
    with pytest.raises(ValueError, match="2 of its SCF cycles did not converge"):
        dialects._unconverged(text, 9)
    with pytest.raises(ValueError, match="5 of its SCF cycles did not converge"):
        dialects._unconverged("\n".join([cycle.format(words)] * 5), 5)


def test_the_last_cycle_of_gaussian_may_have_failed():
    text = " SCF Done:\n" * 4 + "Convergence failure -- run terminated"
    assert dialects._unconverged(text, 4) == []  # it came to no frame
    assert dialects._unconverged(text, 5) == [4]  # to one without energy


def test_units_of_headers_are_used_and_not_overruled(read, frames):
    named = xyz(frames, "energy={:.10f} energy_unit=Hartree forces_unit=Hartree/Bohr")
    plain, odd = (xyz(frames[:3], f"energy={{:.10f}} {x}") for x in ("e_unit=eV", LJ))
    alone = xyz(frames, "energy={:.10f} energy_unit=Hartree")
    same(read(named), frames, HARTREE, HARTREE / BOHR)
    same(read(plain), frames[:3])
    same(read(alone, unit="Hartree/Å"), frames, HARTREE, HARTREE)
    for text, how, words in (
        (named, dict(unit="eV/Å"), "unit: the file says 27.2"),
        (plain + named, {}, "its frames name different units"),
        (alone, {}, "has a unit of energy only: tell both"),
        (odd, {}, "units=lj: tell it, with unit="),
    ):
        with pytest.raises(ValueError, match=words):
            read(text, **how)
    short = [data.with_labels(a, a.get_potential_energy()) for a in frames]
    for a, b in zip(short, frames, strict=True):
        a.positions /= BOHR
        a.calc.results["forces"], a.calc.atoms = b.get_forces(), a.copy()
    text = xyz(short, "energy={:.10f} e_unit=eV length_unit=Bohr")
    same(read(text), frames, 1.0, 1 / BOHR)
    for style, size in (("metal", 1.0), ("real", KCAL_MOL)):  # LAMMPS
        text = xyz(frames, f"energy={{:.10f}} units={style}")
        same(read(text), frames, size, size)
        same(read(xyz(frames), unit=style), frames, size, size)


def test_folders_are_searched_whole_but_for_hidden_ones(tmp_path, frames):
    for name in ("run1", "run2", ".ipynb_checkpoints"):
        (tmp_path / name).mkdir()
        part = frames[:3] if name == "run1" else frames[3:]
        write(tmp_path / name / "a.xyz", xyz(part))
    (tmp_path / "vasp").mkdir()
    write(tmp_path / "vasp/OUTCAR", "nothing\n")
    with pytest.warns(DataWarning, match="OUTCAR:\nleft out"):
        same(data.read(tmp_path), frames)
    same(data.read(tmp_path / "run*"), frames)


def test_a_nan_in_an_npz_costs_one_frame(tmp_path, frames):
    energies = np.array([a.get_potential_energy() for a in frames])
    energies[2] = np.nan
    np.savez(
        tmp_path / "a.npz",
        z=frames[0].numbers,
        R=[a.positions for a in frames],
        E=energies,
        F=[a.get_forces() for a in frames],
        e_unit="eV",
        r_unit="Ang",
    )
    with (
        pytest.warns(DataWarning, match=r"no numbers: frames \[2\]"),
        pytest.warns(DataWarning, match="left out: a.npz, frame 2"),
    ):
        same(data.read(tmp_path / "a.npz"), [*frames[:2], *frames[3:]])


PWSCF = """
     Program PWSCF v.6.7 starts on  1Jan2021 at  0: 0: 0
     bravais-lattice index     =            1
     number of atoms/cell      =           2
     number of atomic types    =            1
     celldm(1)=  20.0000000000  celldm(2)=   0.000000  celldm(3)=   0.000000

     crystal axes: (cart. coord. in units of alat)
               a(1) = (   1.000000   0.000000   0.000000 )
               a(2) = (   0.000000   1.000000   0.000000 )
               a(3) = (   0.000000   0.000000   1.000000 )

     Cartesian axes

     site n.     atom                  positions (alat units)
         1           H   tau(   1) = (   0.0000000000   0.0000000000   0.0000000000  )
         2           H   tau(   2) = (   0.0700000000   0.0000000000   0.0000000000  )

!    total energy              =        -2.00000000 Ry

     Forces acting on atoms (cartesian axes, Ry/au):

     atom    1 type  1   force =     0.10000000    0.00000000    0.00000000
     atom    2 type  1   force =    -0.10000000    0.00000000    0.00000000

     Total force =     0.1     Total SCF correction =     0.0

     JOB DONE.
"""
