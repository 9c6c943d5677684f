#!/usr/bin/env python3
"""Remakes the small data sets that test the adapters, one for each layout.

    pip install pyarrow==22.0.0 pillow==12.0.0
    python tools/goldens/data_sets.py

The contents are made up; keys, folders and quirks are those of the published files. Writes to
`crates/pefomed-data/tests/fixtures/datasets/`, and damaged and hostile files to
`crates/pefomed-data/tests/hostile/formats/`.
"""

import csv
import gzip
import io
import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parents[2] / "crates" / "pefomed-data" / "tests" / "fixtures" / "datasets"


def png(grey: int) -> bytes:
    image = Image.new("L", (6, 4), grey)
    image.putpixel((1, 1), 255 - grey)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def write(path: str, data) -> None:
    path = ROOT / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def lines(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def listed(rows) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def slake() -> None:
    def row(qid, name, question, answer, lang="en", **more):
        return {
            "img_id": int(name.removeprefix("xmlab")), "img_name": f"{name}/source.jpg",
            "question": question, "answer": answer, "q_lang": lang, "location": "Lung",
            "modality": "X-Ray", "answer_type": "OPEN", "base_type": "vqa",
            "content_type": "Position", "triple": ["vhead", "_", "_"], "qid": qid, **more,
        }

    write("slake/train.json", listed([
        row(0, "xmlab1", "Where is the mass?", "Left lobe "),
        row(1, "xmlab1", "这是什么器官？", "肺", "zh"),
        row(2, "xmlab2", "How many kidneys?", 2, answer_type="OPEN "),
        row(2, "xmlab2", "Is this a CT?", "No", answer_type="CLOSED", modality=""),
    ]))
    write("slake/validate.json", listed([row(5, "xmlab3", "Which side?", "Right")]))
    write("slake/test.json", listed([row(6, "xmlab4", "Is it healthy?", "Yes", answer_type="CLOSED")]))
    for number, grey in ((1, 10), (2, 90), (4, 200)):
        write(f"slake/imgs/xmlab{number}/source.jpg", png(grey))


def pathvqa() -> None:
    rows = [
        {"answer": "in the canals of hering", "image": "train_0422", "question": "where are stem cells located ?"},
        {"answer": "yes", "image": "train_0422", "question": "are nuclei present?"},
        {"answer": 2, "image": "train_0001", "question": "how many layers?"},
    ]
    for name, part in (("train", rows), ("val", rows[1:2]), ("test", rows[:1])):
        write(f"pathvqa/qas/{name}/{name}_qa.pkl", pickle.dumps(part, protocol=3))
    write("pathvqa/images/train/train_0422.jpg", png(50))


def iu_xray() -> None:
    def study(name, split, report="The heart is normal in size . The lungs are clear ."):
        paths = [f"{name}/0.png", f"{name}/1.png"]
        return {"id": name, "report": report, "image_path": paths, "split": split}

    write("iu-xray/annotation.json", json.dumps({
        "train": [study("CXR2384_IM-0942", "train"), study("CXR2926_IM-1328", "train")],
        "val": [study("CXR17_IM-0001", "val")],
        "test": [study("CXR1842_IM-0550", "test", "No pneumothorax .")],
    }))
    for view, grey in ((0, 30), (1, 60)):
        write(f"iu-xray/images/CXR2384_IM-0942/{view}.png", png(grey))


def openi() -> None:
    def report(number, sections, images):
        texts = "".join(f'<AbstractText Label="{k}">{v}</AbstractText>' for k, v in sections)
        parents = "".join(
            f'<parentImage id="{name}"><figureId>F1</figureId><caption>PA and lateral</caption></parentImage>'
            for name in images
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n<eCitation>\n'
            f'<meta type="rr"/>\n<uId id="CXR{number}"/>\n'
            f"<MedlineCitation><Article><Abstract>{texts}</Abstract></Article></MedlineCitation>\n"
            f"<MeSH><major>normal</major></MeSH>\n{parents}\n</eCitation>\n"
        )

    both = [("COMPARISON", "None."), ("FINDINGS", "Lungs are clear.\n No effusion &lt; 1 cm."), ("IMPRESSION", "Normal chest.")]
    write("openi-xml/ecgen-radiology/1.xml", report(1, both, ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"]))
    write("openi-xml/ecgen-radiology/2.xml", report(2, both[::2], ["CXR2_IM-0652-1001"]))
    write("openi-xml/ecgen-radiology/3.xml", report(3, both, []))
    latin = report(10, [("FINDINGS", "Sj\u00f6gren."), ("IMPRESSION", "None.")], ["CXR10_IM-0002-1001"])
    write("openi-xml/ecgen-radiology/10.xml", latin.replace("utf-8", "iso-8859-1").encode("latin-1"))
    write("openi-xml/NLMCXR_png/CXR1_1_IM-0001-3001.png", png(20))


def captions() -> None:
    for split, folder, stem in (("train", "train", "train"), ("val", "validation", "val"), ("test", "test", "test")):
        base = f"roco/data/{folder}/radiology"
        number = {"train": 2, "val": 8, "test": 9}[split]
        name = f"PMC40837{number}_AMHSR-4-14-g002.jpg"
        write(f"{base}/captions.txt", f"ROCO_0000{number}\t Axial CT, with contrast.\n")
        if split == "train":
            rows = [["id", "name", "caption"], [f"ROCO_0000{number}", name, "Axial CT, with contrast.\n"],
                    ["ROCO_00003", "PMC2_b.jpg ", 'A "ring" sign']]
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(rows)
            write(f"{base}/traindata.csv", out.getvalue())
        if split == "train":
            write(f"{base}/images/ROCO_00003.jpg", png(3))
        write(f"{base}/images/{name if split == 'train' else f'ROCO_0000{number}.jpg'}", png(number))
    write("rocov2/train_captions.csv", "ID,Caption\nROCOv2_2023_train_000001,Head CT\nROCOv2_2023_train_000002,\n")
    write("rocov2/valid_captions.csv", "ID,Caption\nROCOv2_2023_valid_000001,Chest film\n")
    write("rocov2/test_captions.csv", "ID,Caption\nROCOv2_2023_test_000001,Knee MRI\n")
    write("rocov2/train/ROCOv2_2023_train_000001.jpg", png(11))
    head = "\ufeffID\tcaption\r\n"
    write("imageclef/caption_prediction_train.csv",
          head + "ImageCLEFmedCaption_2022_train_000001\tCT, axial; arrow\r\nImageCLEFmedCaption_2022_train_000002\tUltrasound\r\n")
    write("imageclef/caption_prediction_valid.csv", head + "ImageCLEFmedCaption_2022_valid_084258\tMRI\r\n")
    write("imageclef/ImageCLEFmedCaption_2022_concept_detection_train.csv", "ID\tcuis\r\nx\tC0040405\r\n")
    write("imageclef/train/ImageCLEFmedCaption_2022_train_000001.jpg", png(12))


def medicat() -> None:
    def figure(paper, figure, **more):
        return {"pdf_hash": paper, "fig_uri": figure, "fig_key": "Figure1", "s2_caption": "Fig. 1. Chest film.",
                "s2orc_caption": None, "s2orc_references": None, "radiology": True, "scope": "...",
                "predicted_type": "Medical images", "oa_info": {"doi": "10/x"}, **more}

    rows = [figure("a1b2", "2-Figure1-1.png"), figure("a1b2", "3-Figure2-1.png", s2orc_caption="A nodule (arrow).", radiology=False),
            figure("c3d4", "1-Figure1-1.png", s2_caption="")]
    write("medicat/figures_public.jsonl.gz", gzip.compress(lines(rows).encode(), mtime=0))
    write("medicat/figures/a1b2_2-Figure1-1.png", png(70))


def mimic() -> None:
    split = "dicom_id,study_id,subject_id,split\n"
    split += "02aa804e-bde0afdd,50414267,10000032,train\n174413ec-4ec4c1f7,50414267,10000032,train\n"
    split += "2a2277a9-b0ded155,53189527,10000032,train\n68b5c4b1-227d0485,53911762,10000764,validate\n"
    split += "e084de3b-be89b11e,56699142,10000935,test\n"
    write("mimic-cxr/mimic-cxr-2.0.0-split.csv.gz", gzip.compress(split.encode(), mtime=0))
    report = " FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n FINDINGS: \n \n Clear lungs.\n No effusion.\n \n IMPRESSION: \n \n Normal.\n"
    files = "mimic-cxr/files/p10/p10000032"
    write(f"{files}/s50414267.txt", report)
    write(f"{files}/s53189527.txt", " FINAL REPORT\n IMPRESSION: \n No change.\n")
    write("mimic-cxr/files/p10/p10000764/s53911762.txt", report)
    write(f"{files}/s50414267/02aa804e-bde0afdd.jpg", png(80))
    table = "path,report\nfiles/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg,Clear lungs.\nother/x.jpg,No effusion.\n"
    write("mimic-cxr/reports.csv", table)


def medexpqa() -> None:
    def row(number, correct, **more):
        options = {"1": "Aspirin", "2": "Heparin", "3": "Surgery", "4": "Nothing", "5": None}
        return {"id": number, "year": 2020, "question_id_specific": 7, "full_question": "A man of 60 has chest pain. What next?",
                "full_answer": "It is 2.", "type": "CARDIOLOGY", "options": options, "correct_option": correct,
                "explanations": {"1": {"exist": False, "text": ""}}, **more}

    write("medexpqa/data/en/train.en.casimedicos.rag.jsonl", lines([row(1, 2), row(2, "4")]))
    write("medexpqa/data/en/test.en.casimedicos.rag.jsonl", lines([row(3, 5), row(4, 1)]))
    write("medexpqa/data/es/train.es.casimedicos.rag.jsonl", lines([row(1, 2, full_question="¿Qué hacer?")]))


def m3g() -> None:
    case = {
        "encounter_id": "ENC00001", "image_ids": ["IMG_ENC00001_00001.jpg", "IMG_ENC00001_00002.jpg"],
        "query_title_en": "Rash on the hand", "query_content_en": "What is it?", "query_content_zh": "这是什么？",
        "responses": [
            {"author_id": "U1", "content_en": "Eczema.", "content_zh": "湿疹。", "completeness": 0.5},
            {"author_id": "U2", "content_en": "Chronic eczema of the hand.", "content_zh": "慢性湿疹。", "completeness": 1.0},
            {"author_id": "U3", "content_en": "", "completeness": 1.0},
        ],
    }
    write("mediqa-m3g/train.json", listed([case, {**case, "encounter_id": "ENC00002", "responses": []}]))
    write("mediqa-m3g/images/train/IMG_ENC00001_00001.jpg", png(33))


def conversations() -> None:
    write("llava/llava_med_train.json", listed([
        {"id": "27_1", "image": "a.png", "conversations": [
            {"from": "human", "value": "<image>\nWhat is shown?"}, {"from": "gpt", "value": "A chest film."},
            {"from": "human", "value": "Which side?"}, {"from": "gpt", "value": "Both."}]},
        {"id": "27_1", "image": "b.png", "conversatons": [
            {"from": "human", "value": "Normal?\n<image>"}, {"from": "gpt", "value": "Yes."}]},
        {"id": 3, "conversations": [{"from": "human", "value": "<image>\nSide?"}, {"from": "gpt", "value": "Left."}]},
    ]))
    write("llava/images/a.png", png(40))
    write("sharegpt/data.jsonl", lines([
        {"images": ["a.png", "b.png"], "conversations": [
            {"from": "system", "value": "You help."}, {"from": "human", "value": "<image><image>Compare."}, {"from": "gpt", "value": "Same."}]},
        {"images": ["a.png"], "messages": [{"role": "user", "content": "<image>Side?"}, {"role": "assistant", "content": "Right."}]},
    ]))
    write("messages/data.jsonl", lines([
        {"id": "m1", "split": "test", "messages": [
            {"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What"}, {"type": "text", "text": "organ?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Lung."}]}]},
        {"id": "m2", "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            {"role": "assistant", "content": "x"}]},
    ]))


def tables() -> None:
    text = (
        "\ufeffImage Name,Question,Answer,Organ,Patient ID\r\n"
        'a.png,"Is it normal, or not?",yes,chest,p1\r\n'
        "\r\n"
        'a.png|b.png,"Two\nlines",2,,p1\r\n'
        "b.png,Side?,,head,p2\r\n"
    )
    write("csv/train.csv", text)
    write("csv/test.csv", "image;question;answer\nc.png;Where?;caf\u00e9\nd.png;Who?;x\n".encode("latin-1"))
    write("csv/a.png", png(44))


def parquet() -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def table(rows, **columns):
        fields = {"image": pa.array(rows, type=image), **columns}
        return pa.table(fields)

    a, b = png(100), png(150)
    train = table(
        [{"bytes": a, "path": None}, {"bytes": b, "path": "b.png"}, {"bytes": a, "path": "other.png"}, None],
        question=["is it normal?", "which organ?", "how many?", "no image?"],
        answer=pa.array(["yes", "lung", "3", None]),
        age=pa.array([61, None, 5, 7], type=pa.int32()),
    )
    ROOT.joinpath("parquet/data").mkdir(parents=True, exist_ok=True)
    pq.write_table(train, ROOT / "parquet/data/train-00000-of-00001.parquet", compression="snappy", row_group_size=3)
    test = table([{"bytes": b, "path": "x.png"}], question=["is it lung?"], answer=["Yes."], age=pa.array([1], type=pa.int32()))
    pq.write_table(test, ROOT / "parquet/data/test-00000-of-00001.parquet", compression="zstd", data_page_version="2.0")
    ROOT.joinpath("parquet-more").mkdir(parents=True, exist_ok=True)
    several = pa.table({
        "id": ["1", "2"],
        "images": pa.array([[{"bytes": a, "path": None}, None, {"bytes": b, "path": None}], []], type=pa.list_(image)),
        "caption": ["Two pictures.", "None."],
    })
    pq.write_table(several, ROOT / "parquet-more/several.parquet", compression="none", use_dictionary=False)
    paths = pa.table({"file": ["a.png", "b.png"], "text": ["A.", "B."], "score": [0.5, 1.0]})
    pq.write_table(paths, ROOT / "parquet-more/paths.parquet", compression="zstd")
    pq.write_table(paths, ROOT / "parquet-more/gzip.parquet", compression="gzip")


def hostile() -> None:
    """Files that are damaged, cut, or made to harm; the README beside them says what each tries."""
    global ROOT
    good, ROOT = ROOT, ROOT.parents[1] / "hostile" / "formats"
    write("unclosed-quote.csv", 'question,answer\nq,"yes\nr,no\n')
    write("utf16.csv", "question,answer\nq,yes\n".encode("utf-16"))
    write("spreadsheet.csv", b"PK\x03\x04\x14\x00\x06\x00" + bytes(20))
    write("two-answers.csv", "question,caption,report\nq,a,b\n")
    row = {"img_name": "xmlab1/source.jpg", "question": "q?", "answer": "yes", "q_lang": "en", "qid": 1}
    write("deep-train.json", "[" * 5000)
    write("outside-train.json", json.dumps([{**row, "img_name": "../../etc/passwd"}]))
    write("cut-train.json", json.dumps([row])[:-20])
    write("latin1-train.json", json.dumps([{**row, "answer": "caf\u00e9"}], ensure_ascii=False).encode("latin-1"))
    mixed = [row, 3, {**row, "qid": 2, "answer": ["yes"]}, {**row, "qid": 3}, {**row, "qid": 4}]
    mixed[4]["qestion"] = mixed[4].pop("question")
    write("mixed-train.json", json.dumps(mixed))
    study = {"id": "CXR1_IM-1", "report": "Clear.", "image_path": ["CXR1/0.png"], "split": "train"}
    write("unknown-list.json", json.dumps({"trian": [study]}))
    write("two-splits.json", json.dumps({"train": [{**study, "split": "test"}]}))
    write("entities.xml", '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
          '<!ENTITY c SYSTEM "file:///etc/passwd">]><eCitation><AbstractText Label="FINDINGS">&b;&c;</AbstractText></eCitation>')
    write("traversal.xml", '<eCitation><AbstractText Label="FINDINGS">Clear.</AbstractText><parentImage id="../../secret"/></eCitation>')
    write("code_train.pkl", b"cos\nsystem\n(S'true'\ntR.")
    write("nested_train.pkl", b"]" * 2000 + b"a" * 1999 + b".")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "It."}]
    write("url.json", json.dumps([{"messages": 0, "id": "1", "conversations": [
        {"from": "human", "value": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}, turns[1]]}]))
    write("two-questions.json", json.dumps([{"id": "1", "conversations": [turns[0], turns[0], turns[1]]}]))
    write("no-options.jsonl", json.dumps({"id": 1, "full_question": "q", "options": ["a"], "correct_option": 1}) + "\n")
    write("no-tab.txt", "ROCO_00001 A film.\n")
    whole = (good / "parquet/data/train-00000-of-00001.parquet").read_bytes()
    write("cut.parquet", whole[: len(whole) // 2])
    same = {"question": pa.array(["q"] * 2_000_000), "answer": pa.array(["a"] * 2_000_000)}
    pq.write_table(pa.table(same), ROOT / "rows.parquet", compression="zstd", row_group_size=2_000_000)
    write("long-footer.parquet", whole[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    line = '{"id": "%s", "question": "q", "answer": "a"}\n'
    write("mixed.jsonl", (line % 1).encode() + b'{"id": "2", "question": "q"\n' + (line % 3).replace("answer", "anwser").encode()
          + b"[1]\n" + b'{"id": "5", "question": "caf\xe9", "answer": "a"}\n' + (line % 6).encode() + (line % 1).encode())
    ROOT = good


def main() -> None:
    for make in (slake, pathvqa, iu_xray, openi, captions, medicat, mimic, medexpqa, m3g, conversations, tables, parquet, hostile):
        make()


if __name__ == "__main__":
    main()
